"""Both request parsers: every test that takes `parser_class` runs on each."""

import pytest

from protocol.native import IN_USE
from protocol.parser import RequestParser as Preferred
from protocol.requests import RequestParser


@pytest.fixture(params=["pure", "compiled"])
def parser_class(request: pytest.FixtureRequest) -> type[RequestParser]:
    if request.param == "pure":
        return RequestParser
    if not IN_USE["protocol._requests"]:
        pytest.skip("the compiled parser is not in use")
    return Preferred
