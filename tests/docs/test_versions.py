"""The version is the same everywhere."""

import tomllib
from pathlib import Path

from broker.version import VERSION

ROOT = Path(__file__).parents[2]


def test_project_file() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_changelog_has_the_version() -> None:
    assert f"## [{VERSION}]" in (ROOT / "CHANGELOG.md").read_text()
