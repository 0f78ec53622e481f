"""A broker in a process of its own with a small cap on Lua's memory: an escape that ends it fails a test."""

import sys
from collections.abc import Iterator

import pytest

from tests.hostile.scripts.caged import LUA_MEMORY
from tests.oracle.servers import Server, free_port, start
from tests.oracle.wire import Connection


@pytest.fixture(scope="package")
def caged() -> Iterator[Server]:
    port = free_port()
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--lua-max-memory", str(LUA_MEMORY)]
    server = start("broker", [sys.executable, "-m", "broker", "serve", *words, "--busy-reply-threshold", "50"], port)
    yield server
    server.stop()


@pytest.fixture
def client(caged: Server) -> Iterator[Connection]:
    connection = caged.connect()
    yield connection
    connection.close()
    assert caged.alive(), caged.log()
    other = caged.connect()
    assert other.call("PING") == b"+PONG\r\n"
    assert other.call("EVAL", "return {1, {2}, redis.call('ECHO', 'x'), cjson.encode({1})}", "0") == (
        b"*4\r\n:1\r\n*1\r\n:2\r\n$1\r\nx\r\n$3\r\n[1]\r\n"
    )
    other.close()
    assert "Traceback" not in caged.log()
