"""docs/architecture.md names modules, classes and floors that are there."""

import re
from pathlib import Path

import pytest

from tests.test_layering import BROKER

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
SOURCES = [
    path.relative_to(ROOT)
    for house in ("broker", "consumers", "protocol", "tests")
    for path in (ROOT / house).rglob("*")
    if path.suffix in (".py", ".pyx", ".lua")
]
FLOORS = TEXT.partition("\nbroker/\n")[2].partition("\n```\n")[0]


@pytest.mark.parametrize("suffix", ["py", "pyx", "lua"])
def test_the_files_that_it_names(suffix: str) -> None:
    named = set(re.findall(rf"`([\w/]+\.{suffix})`", TEXT))
    paths = [f"/{path}" for path in SOURCES]
    assert named and not {name for name in named if not any(path.endswith(f"/{name}") for path in paths)}


def test_the_attributes_that_it_names() -> None:
    named = set(re.findall(r"`([A-Z]\w+)\.(\w+)(?:\(\))?`", TEXT))
    owners = "|".join({owner for owner, _ in named})
    found = set()
    for path in SOURCES:
        if path.parts[0] != "tests" and path.suffix == ".py":
            # a class begins at the margin, and ends where something else does
            for owner, body in re.findall(rf"^class ({owners})\b.*((?:\n(?: .*)?)*)", (ROOT / path).read_text(), re.M):
                found |= {(owner, name) for name in re.findall(r"\w+", body)}
    assert named and not named - found


def test_the_floors_are_those_that_are_enforced() -> None:
    # without the first and the last of the broker's, which are explained there, and what is part of another floor
    enforced = [[name.removeprefix("broker.") for name in floor] for floor in BROKER[1:-2]]
    enforced = [floor for floor in enforced if not any("." in name for name in floor)]
    shown = [name.rstrip("/").removesuffix(".py") for line in FLOORS.splitlines()[1:-2] for name in line[:23].split()]
    places = [next(n for n, floor in enumerate(enforced) if name in floor) for name in shown]
    assert places == sorted(places) and set(places) == set(range(len(enforced)))
