"""Skips tests whose replicas are not on this machine, and says so at the end of the run."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.oracle.conftest import skip_loudly
from tests.oracle.servers import OracleMissing, Server
from tests.oracle.wire import Connection
from tests.replication import servers

Start = Callable[..., Server]
Connect = Callable[[Server], Connection]


@pytest.fixture
def master() -> Iterator[Start]:
    """`master(*options, port=..., folder=...)` starts this broker; it is ended after the test."""
    with ExitStack() as stack:
        yield lambda *options, **place: stack.enter_context(servers.master(*options, **place))


@pytest.fixture
def replica() -> Iterator[Start]:
    """`replica(kind, of, *options)` starts a server that follows another; it is ended after the test."""

    def start(kind: str, of: Server, *options: str) -> Server:
        try:
            return stack.enter_context(servers.replica(kind, of.address, *options))
        except OracleMissing as missing:
            skip_loudly(str(missing))
            raise

    with ExitStack() as stack:
        yield start


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect(server)` returns a client, which is closed after the test."""
    clients: list[Connection] = []

    def client_of(server: Server) -> Connection:
        clients.append(server.connect())
        return clients[-1]

    yield client_of
    for client in clients:
        client.close()
