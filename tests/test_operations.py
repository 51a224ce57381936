"""The operator's document names what there is."""

import re
from pathlib import Path

from gateway.settings import PREFIX, Settings
from gateway.storage.tables import METADATA

OPERATIONS = (Path(__file__).parent.parent / "docs" / "operations.md").read_text(encoding="utf-8")
SECTION = OPERATIONS.split("## What grows, and what bounds it")[1].split("\n## ")[0]


def _first_columns(heading: str) -> set[str]:
    """The names in the first column of a table of the section."""
    table = SECTION.split(f"| {heading} |")[1].split("\n\n")[0]
    return {
        name
        for row in re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
        for name in re.findall(r"`(\w[\w.]*)`", row)
    }


def test_it_says_what_bounds_each_table() -> None:
    assert _first_columns("table") == set(METADATA.tables)


def test_the_settings_in_it_are_settings() -> None:
    named = set(re.findall(rf"`{PREFIX}(\w+)`", OPERATIONS))
    assert named <= {name.upper() for name in Settings.model_fields}
