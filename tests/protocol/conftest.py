"""Both request parsers: every test that takes `parser_class` runs on each."""

import importlib

import pytest

from protocol.requests import RequestParser


@pytest.fixture(params=["pure", "compiled"])
def parser_class(request: pytest.FixtureRequest) -> type[RequestParser]:
    if request.param == "pure":
        return RequestParser
    try:
        compiled = importlib.import_module("protocol._requests")
    except ImportError:
        pytest.skip("the compiled parser was not built")
    twin: type[RequestParser] = compiled.RequestParser
    return twin
