"""What the build is called."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import broker
from broker.native import COMPILED, MODULES, PARTLY, PURE, TWINS, build

ROOT = Path(broker.__file__).parent.parent


def test_the_list_of_twins_is_that_of_their_sources() -> None:
    sources = [path for package in ("protocol", "broker") for path in (ROOT / package).rglob("*.pyx")]
    assert sorted(TWINS) == sorted(".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources)


def test_nobody_refers_weakly_to_what_may_be_compiled() -> None:
    """A class that mypyc compiles, and that has a base in Python, leaves weak references to its instances dangling."""
    for package in ("protocol", "broker"):
        for path in (ROOT / package).rglob("*.py"):
            assert not re.search(r"^\s*(import|from) weakref|__weakref__", path.read_text(), re.MULTILINE), path


@pytest.mark.parametrize(
    ("is_there", "name"),
    [
        (lambda twin: True, COMPILED),
        (lambda twin: False, PURE),
        (lambda twin: twin == TWINS[0], PARTLY),
        (lambda twin: twin != TWINS[0], PARTLY),
    ],
)
def test_what_it_is_called(monkeypatch: pytest.MonkeyPatch, is_there: Callable[[str], bool], name: str) -> None:
    monkeypatch.delenv("TRIMARAN_PURE", raising=False)
    found = importlib.util.find_spec("os")
    monkeypatch.setattr("broker.native.find_spec", lambda twin: found if is_there(twin) else None)
    monkeypatch.setattr("broker.native.compiled_modules", lambda: {name: "" for name in MODULES if is_there(name)})
    assert build() == name


def test_one_that_leaves_the_twins_out_is_pure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMARAN_PURE", "1")
    assert build() == PURE
