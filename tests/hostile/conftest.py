"""Brokers under attack: one per test in the test's own process, or one per module in a separate process."""

import sys
from collections.abc import AsyncIterator, Iterator

import pytest

import broker
from tests.hostile.clients import assert_serves
from tests.oracle.servers import Server, free_port, start
from tests.oracle.wire import Connection


@pytest.fixture
async def server() -> AsyncIterator[broker.Server]:
    """A broker with the defaults, which must still serve when the test is over."""
    async with broker.open_broker() as running:
        yield running
        await assert_serves(running)


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    """A broker in a separate process: a call that never ends fails its test, not the test run."""
    port = free_port()
    command = [sys.executable, "-m", "broker", "serve", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = start("broker", command, port)
    yield server
    server.stop()


@pytest.fixture
def connection(process: Server) -> Iterator[Connection]:
    """A client of that broker, which must still serve others when the test is over."""
    client = process.connect()
    yield client
    client.close()
    assert process.alive(), process.log()
    other = process.connect()
    assert other.call("PING") == b"+PONG\r\n"
    other.close()
