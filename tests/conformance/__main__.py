"""Writes docs/conformance.md: ``python -m tests.conformance``."""

import importlib
from pathlib import Path

from tests.conformance.report import DOCUMENT, document


def load() -> None:
    """Import every module of scenarios, in the order in which pytest collects them."""
    for module in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"tests.conformance.{module.stem}")


if __name__ == "__main__":
    load()
    DOCUMENT.write_text(document(), encoding="utf-8")
