"""`port_url`: an empty server on a port, first the broker and then the newest redis-server, each in its own process."""

from collections.abc import Iterator

import pytest

from tests.consumers.servers import RedisServer, executable, redis_server


@pytest.fixture(scope="package", params=["broker", "redis-newest"])
def _server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    if request.param != "broker" and executable(request.param) is None:
        pytest.skip(f"no redis-server of the kind {request.param!r}")
    with redis_server(request.param) as server:
        yield server


@pytest.fixture
def port_url(_server: RedisServer) -> str:
    """redis://127.0.0.1:PORT/0"""
    _server.flush()
    return _server.url
