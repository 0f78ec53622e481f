"""node-redis and ioredis, where node and npm are at hand."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def run(modules: Path, script: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        ["node", str(HERE / script), *arguments],
        env=os.environ | {"NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


COMMON = {
    "get": "v",
    "hash": {"f": "1", "g": "2"},
    "wrong": "WRONGTYPE",
    "receivers": 2,
    "messages": ["hello", "hello"],
    "entries": [str(n) for n in range(10)],
    "acknowledged": 10,
    "count": "500",
    "scanned": 6,
    "multi": [1, 2, "2"],
}


@pytest.mark.parametrize("resp", ["2", "3"])
def test_node_redis(modules: Path, url: str, resp: str) -> None:
    assert run(modules, "node_redis.cjs", url, resp) == COMMON | {
        "sorted": [{"value": "a", "score": 1.5}, {"value": "b", "score": 2}],
        "popped": {"key": "queue", "element": "job"},
    }


def test_ioredis(modules: Path, url: str) -> None:
    assert run(modules, "ioredis.cjs", url) == COMMON | {"sorted": ["a", "1.5", "b", "2"], "popped": ["queue", "job"]}


def test_the_client_side_cache_of_node_redis(modules: Path, url: str) -> None:
    assert run(modules, "client_side_cache.cjs", url) == {
        "first": "1",
        "again": "1",
        "hits": 1,
        "changed": "2",
        "own": "3",
        "flushed": [None, None],
        "pooled": "1",
    }
