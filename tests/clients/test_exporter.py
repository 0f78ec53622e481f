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
    "FLUSHALL", "SET a 1 EX 1000", "HSET h f v", "XADD s * a b", "XGROUP CREATE s g 0", "CONFIG RESETSTAT", "NOSUCH",
    "GET a", "GET missing",
)  # fmt: skip
# Families of parts that have their own tests.
ELSEWHERE = ("redis_slowlog_", "redis_latency_", "redis_last_slow_", "redis_acl_")


def scraped(server: servers.Server, folder: Path) -> tuple[set[str], str]:
    """The families of metrics at the second scrape, and the exporter's log."""
    assert EXPORTER is not None
    connection = server.connect()
    for command in COMMANDS:
        connection.call(*command.split())
    connection.close()
    address = f"127.0.0.1:{servers.free_port()}"
    command = [EXPORTER, "-redis.addr", "redis://{}:{}".format(*server.address), "-web.listen-address", address]
    command += ["-include-system-metrics", "-export-client-list", "-check-keys", "db0=*", "-check-streams", "db0=s"]

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
    return families, (folder / f"exporter-{server.name}.log").read_text()


def test_every_family_is_there_and_nothing_fails(tmp_path: Path) -> None:
    theirs, _ = scraped(servers.reference(), tmp_path)
    ours, log = scraped(servers.broker(), tmp_path)
    assert {family for family in theirs - ours if not family.startswith(ELSEWHERE)} == set()
    assert "redis_db_keys" in ours and "redis_connected_clients" in ours
    errors = [line for line in log.splitlines() if "level=error" in line and not re.search("LATENCY|SLOWLOG", line)]
    assert not errors
