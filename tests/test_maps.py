"""The map at the beginning of each package: it names every file in the folder, and nothing else."""

import importlib
import pkgutil
import re
from types import ModuleType

import pytest

import core
import gateway
import protocols


def _packages(parent: ModuleType) -> list[str]:
    return [
        f"{parent.__name__}.{module.name}" for module in pkgutil.iter_modules(parent.__path__) if module.ispkg
    ]


@pytest.mark.parametrize(
    "name", ["core", "gateway", *_packages(core), *_packages(gateway), *_packages(protocols)]
)
def test_a_package_says_of_each_of_its_files_what_it_is_for(name: str) -> None:
    package = importlib.import_module(name)
    named = re.findall(r"``(\w+)``", package.__doc__ or "")
    there = [module.name for module in pkgutil.iter_modules(package.__path__)]
    assert sorted(set(named)) == sorted(there)
