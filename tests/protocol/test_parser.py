"""Which of the two parsers is in use."""

import importlib
import sys
from collections.abc import Iterator

import pytest

from protocol import parser, requests


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Changes here count for the next reload of protocol.parser, and for nothing after the test."""
    monkeypatch.delenv("TRIMARAN_PURE", raising=False)
    yield monkeypatch
    monkeypatch.undo()
    importlib.reload(parser)


def test_the_compiled_parser_where_it_was_built(environment: pytest.MonkeyPatch) -> None:
    compiled = pytest.importorskip("protocol._requests", reason="the compiled parser was not built")
    importlib.reload(parser)
    assert parser.COMPILED
    assert parser.RequestParser is compiled.RequestParser


def test_the_pure_parser_on_demand(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TRIMARAN_PURE", "1")
    importlib.reload(parser)
    assert not parser.COMPILED
    assert parser.RequestParser is requests.RequestParser


def test_the_pure_parser_where_the_other_was_not_built(environment: pytest.MonkeyPatch) -> None:
    environment.setitem(sys.modules, "protocol._requests", None)
    importlib.reload(parser)
    assert not parser.COMPILED
    assert parser.RequestParser is requests.RequestParser
