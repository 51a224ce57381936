"""Redocly CLI and Spectral find nothing wrong with the committed documents; rules that are off are so with a reason."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.contracts.documents import DOCUMENTS
from tests.waiting import TIMEOUT_SECONDS

ROOT = Path(__file__).parents[3]
PROGRAMS = ROOT / "tests" / "node" / "node_modules" / ".bin"
OPENAPI = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("openapi/openapi*.yaml"))
ASYNCAPI = "asyncapi/asyncapi.yaml"
#: Nothing is sent to, or asked of, whoever makes them.
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}

pytestmark = pytest.mark.slow


def findings(program: str, *arguments: str, folder: Path = ROOT) -> str:
    """What a linter finds, as it prints it; nothing where it is content."""
    done = subprocess.run(
        [PROGRAMS / program, "lint", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | QUIET,
        timeout=TIMEOUT_SECONDS,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def by_redocly(*documents: str, folder: Path = ROOT) -> str:
    """The findings of Redocly CLI, all of which are errors by its configuration."""
    return findings("redocly", "--config=openapi/redocly.yaml", *documents, folder=folder)


def by_spectral(rules: str, *documents: str, folder: Path = ROOT) -> str:
    """The findings of Spectral, hints included."""
    return findings(
        "spectral", f"--ruleset={rules}/spectral.yaml", "--fail-severity=hint", *documents, folder=folder
    )


def test_all_documents_are_linted() -> None:
    linted = {Path(name).stem for name in (*OPENAPI, ASYNCAPI)}
    assert linted == {*DOCUMENTS, "openapi-classic"}


def test_redocly_finds_nothing() -> None:
    assert by_redocly(*OPENAPI) == ""


def test_spectral_finds_nothing_in_openapi() -> None:
    assert by_spectral("openapi", *OPENAPI) == ""


def test_spectral_finds_nothing_in_asyncapi() -> None:
    assert by_spectral("asyncapi", ASYNCAPI) == ""


def test_both_know_version_3_2_and_find_what_is_wrong(tmp_path: Path) -> None:
    for name in ("openapi", "asyncapi"):
        shutil.copytree(ROOT / name, tmp_path / name)
    broken = tmp_path / OPENAPI[-1]
    text = broken.read_text(encoding="utf-8")
    assert text.startswith("openapi: 3.2.0")
    broken.write_text(
        text.replace("\n    query:\n      operationId: ", "\n    query:\n      operation: ", 1),
        encoding="utf-8",
    )
    assert "struct" in by_redocly(OPENAPI[-1], folder=tmp_path)
    assert "oas3-schema" in by_spectral("openapi", OPENAPI[-1], folder=tmp_path)
