"""Prometheus's redis_exporter: no error logged, and every family of metrics that it has for redis-server."""

import re
import shutil
import urllib.request
from pathlib import Path

import pytest

from tests.clients.processes import until, worker
from tests.oracle import servers
from tests.oracle.harness import requires

EXPORTER = shutil.which("prometheus-redis-exporter") or shutil.which("redis_exporter")

pytestmark = [requires("8.10"), pytest.mark.skipif(EXPORTER is None, reason="redis_exporter is not installed")]

COMMANDS = (
    "FLUSHALL", "CONFIG SET slowlog-log-slower-than 0 latency-monitor-threshold 1", "SET a 1 EX 1000", "HSET h f v",
    "XADD s * a b", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c STREAMS s >", "CONFIG RESETSTAT", "NOSUCH", "GET a",
    "GET missing", "DEBUG SLEEP 0.01", "AUTH nobody x", "CLIENT TRACKING ON",
)  # fmt: skip
AFTERWARDS = (
    "CONFIG SET slowlog-log-slower-than 10000 latency-monitor-threshold 0", "SLOWLOG RESET", "LATENCY RESET",
    "ACL LOG RESET", "FLUSHALL",
)  # fmt: skip


def scraped(server: servers.Server, folder: Path) -> tuple[set[str], str]:
    """The families of metrics at the second scrape, and the exporter's log."""
    assert EXPORTER is not None
    connection = server.connect()
    for command in COMMANDS:
        connection.call(*command.split())
    address = f"127.0.0.1:{servers.free_port()}"
    command = [EXPORTER, "-redis.addr", "redis://{}:{}".format(*server.address), "-web.listen-address", address]
    command += ["-include-system-metrics", "-export-client-list", "-check-keys", "db0=*", "-check-streams", "db0=s"]
    command += ["-include-config-metrics", "-export-client-port", "-count-keys", "db0=*", "-check-key-groups", "^(.)"]

    def page() -> str:
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
                text: str = response.read().decode()
                return text
        except OSError:
            return ""

    with worker(f"exporter-{server.name}", command, folder):
        until(page, "the exporter answers")
        families = set(re.findall(r"^# TYPE (\S+)", page(), re.MULTILINE))
    for afterwards in AFTERWARDS:
        assert not connection.call(*afterwards.split()).startswith(b"-")
    connection.close()
    return families, (folder / f"exporter-{server.name}.log").read_text()


def test_every_family_is_there_and_nothing_fails(tmp_path: Path) -> None:
    theirs, _ = scraped(servers.reference(), tmp_path)
    ours, log = scraped(servers.broker(), tmp_path)
    assert theirs - ours == set()
    for part in ("db_keys", "connected_clients", "slowlog_length", "latency_spike_last"):
        assert f"redis_{part}" in ours
    assert not re.findall("level=(?:error|warning).*", log)
