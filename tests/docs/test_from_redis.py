"""docs/from-redis.md, followed line by line: from a redis-server with a password and an append-only file, and back."""

import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import BusyLoadingError, ConnectionError
from redis.retry import Retry

from tests.docs.programs import ROOT
from tests.docs.reader import Reader
from tests.oracle.servers import OracleMissing, find_reference, free_port

PASSWORD = "secret"
PATIENCE = Retry(ConstantBackoff(0.05), 400, (ConnectionError, BusyLoadingError))
BLOCK = re.compile(r"^( *)```\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
MODULE = re.compile(r'"name"\s+\d\) "(.*)"')
CONFIGURATION = """
port {port}
bind 127.0.0.1
requirepass {password}
dir {folder}
appendonly yes
save 3600 1
"""

pytestmark = pytest.mark.skipif(shutil.which("redis-cli") is None, reason="no redis-cli")


def section(title: str) -> list[list[str]]:
    """The lines of each block in a section of the page."""
    page = (ROOT / "docs" / "from-redis.md").read_text()
    text = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [textwrap.dedent(block).splitlines() for _, block in BLOCK.findall(text)]


class Move:
    """The old redis-server, and a reader for whom the page's hosts, ports and folders are those of this test."""

    def __init__(self, folder: Path, server: Path) -> None:
        self.reader = Reader(folder, REDISCLI_AUTH=PASSWORD)
        self.port, self.new_port = free_port(), self.reader.port
        etc, redis_folder = folder / "redis.conf", folder / "redis"
        redis_folder.mkdir()
        etc.write_text(CONFIGURATION.format(port=self.port, password=PASSWORD, folder=redis_folder))
        self._path = str(server)
        self._in_place = {
            "/etc/redis/redis.conf": str(etc), "/var/lib/redis": str(redis_folder),
            "/var/lib/trimaran": str(folder / "new"), "/tmp/trial": str(folder / "trial"),
            "--port 7777": f"--port {self.new_port}", "-p 7777": "", "-h old": f"-p {self.port}", "-h new": "",
            "old:6379": f"127.0.0.1:{self.port}", "new:6379": f"127.0.0.1:{self.new_port}",
            "PASSWORD": PASSWORD, "--bind '*'": "--bind 127.0.0.1",
        }  # fmt: skip
        self._old = subprocess.Popen([self._path, etc], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def client(self, port: int) -> redis.Redis:
        """A client of the old server, or of the one that the page has started (`new_port`)."""
        return redis.Redis(port=port, password=PASSWORD, retry=PATIENCE, decode_responses=True)

    def end(self) -> None:
        self.reader.leave()
        self._old.kill()
        self._old.wait()

    def follow(self, lines: list[str]) -> list[str]:
        """Type a block; returns what each line printed that starts no server."""
        printed = []
        for line in lines:
            for theirs, ours in self._in_place.items():
                line = line.replace(theirs, ours)
            if line.startswith("redis-server"):
                line = line.replace("redis-server", self._path, 1)
            if line.startswith(("trimaran serve", self._path)):
                self.reader.serve(line)
            else:
                printed.append(self.reader.type(line))
        return printed


@pytest.fixture
def move(tmp_path: Path) -> Iterator[Move]:
    try:
        path = find_reference()[0]
    except OracleMissing as problem:
        pytest.skip(str(problem))
    move = Move(tmp_path, path)
    try:
        with redis.Redis(port=move.port, password=PASSWORD, retry=PATIENCE) as client:
            client.rpush("jobs", "a", "b")
            client.xadd("orders", {"item": "book"}, id="1-1")
            client.xgroup_create("orders", "billing")
            client.set("session", "x", ex=1000)
        yield move
    finally:
        move.end()


def held(client: redis.Redis) -> tuple[object, ...]:
    """What the fixture has written, and a later write."""
    return (
        client.lrange("jobs", 0, -1),
        client.xlen("orders"),
        client.xinfo_groups("orders")[0]["name"],
        client.get("n"),
    )


def test_before_the_switch(move: Move) -> None:
    used, trial, files, fits = section("Before the switch")
    commands, cluster, modules = move.follow(used)
    assert "cmdstat_rpush:calls=1" in commands and "cluster_enabled:0" in cluster
    assert set(MODULE.findall(modules)) <= {"vectorset"}
    move.follow(trial)
    fetched, checked = move.follow(files)
    assert "Transfer finished with success" in fetched
    assert "trial.rdb: ok" in checked and "keys: 3" in checked
    assert "used_memory_rss" in move.follow(fits)[0]
    assert held(move.client(move.new_port)) == (["a", "b"], 1, "billing", None)


def test_migrating_there_and_back(move: Move, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    there, _ = section("Moving")
    back, _ = section("Back to Redis or Valkey")
    _, replicas = move.follow(there)
    assert "master" in replicas and str(move.port) in replicas
    old, new = move.client(move.port), move.client(move.new_port)
    with pytest.raises(redis.ReadOnlyError):
        old.set("n", "1")
    new.set("n", "1")
    assert held(new) == (["a", "b"], 1, "billing", "1")
    move.follow(back)
    old.set("n", "2")
    assert held(old) == (["a", "b"], 1, "billing", "2")


def test_files_there_and_back(move: Move) -> None:
    _, there = section("Moving")
    _, back = section("Back to Redis or Valkey")
    move.follow(there)
    client = move.client(move.new_port)
    assert client.info("server")["trimaran_version"]
    client.set("n", "1")
    assert held(client) == (["a", "b"], 1, "billing", "1") and 0 < client.ttl("session") <= 1000
    move.follow(back)
    assert "trimaran_version" not in client.info("server")
    assert held(client) == (["a", "b"], 1, "billing", "1") and 0 < client.ttl("session") <= 1000
