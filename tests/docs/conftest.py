"""`port_url`: an empty server on a port, in its own process.

It is the broker, and for tests that are marked `elsewhere` then the newest redis-server as well. With
TRIMARAN_EVERY_PAIR=1 all of them run on both.
"""

import os
from collections.abc import Iterator

import pytest

from tests.consumers.servers import RedisServer, executable, redis_server


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "elsewhere: on the newest redis-server as well")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "_server" in metafunc.fixturenames:
        elsewhere = metafunc.definition.get_closest_marker("elsewhere") or os.environ.get("TRIMARAN_EVERY_PAIR")
        kinds = ["broker", *(["redis-newest"] if elsewhere else [])]
        metafunc.parametrize("_server", kinds, indirect=True, scope="package")


@pytest.fixture(scope="package")
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
