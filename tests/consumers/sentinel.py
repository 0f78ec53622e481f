"""One redis-sentinel that watches a server, for the tests of URLs that name Sentinels."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.consumers.servers import RedisServer
from tests.oracle.servers import free_port
from tests.oracle.wire import Connection

__all__ = ["NAME", "sentinel_of"]

NAME = "main"


@contextmanager
def sentinel_of(server: RedisServer) -> Iterator[int]:
    """Start a Sentinel; yields its port."""
    if shutil.which("redis-sentinel") is None:
        pytest.skip("no redis-sentinel")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "sentinel.conf"
        settings.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor {NAME} 127.0.0.1 {server.port} 1\n"
        )
        process = subprocess.Popen(
            ["redis-sentinel", str(settings)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()
            process.wait()


def _wait_for(port: int) -> None:
    while True:
        try:
            connection = Connection(("127.0.0.1", port))
        except OSError:
            continue
        reply = connection.call("PING")
        connection.close()
        assert reply == b"+PONG\r\n"
        return
