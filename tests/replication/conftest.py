"""Servers that end with their test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.replication.nodes import Node

Start = Callable[..., Node]


@pytest.fixture
def server() -> Iterator[Start]:
    """`server(kind, **directives)` starts one; it is ended after the test, which is skipped where there is none."""
    with ExitStack() as stack:
        yield lambda kind, **directives: stack.enter_context(Node(kind, **directives))
