"""The map at the beginning of each package of the doors."""

import importlib
import pkgutil
import re

import pytest

import protocols

PACKAGES = [module.name for module in pkgutil.iter_modules(protocols.__path__) if module.ispkg]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_door_says_of_each_of_its_files_what_it_is_for(name: str) -> None:
    package = importlib.import_module(f"protocols.{name}")
    named = re.findall(r"``(\w+)``", package.__doc__ or "")
    assert sorted(set(named)) == sorted(module.name for module in pkgutil.iter_modules(package.__path__))
