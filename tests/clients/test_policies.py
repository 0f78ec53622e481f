"""Workers of ten lines on three client libraries: the group's policy retries, buries, delays and orders for them."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.clients.conftest import empty_broker
from tests.clients.processes import logs_of, until, workers
from tests.oracle import servers

HERE = Path(__file__).parent
LIBRARIES = {
    "redis-py": [sys.executable, str(HERE / "policy_worker.py")],
    "ioredis": ["node", str(HERE / "policy_worker_ioredis.cjs")],
    "node-redis": ["node", str(HERE / "policy_worker_node_redis.cjs")],
}
CUSTOMERS = ("ann", "bob", "cid")
DELAY_MS = 1500


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    """A client of a broker that has policies."""
    servers.with_options("--stream-extensions", "yes")
    try:
        with redis.Redis(port=empty_broker(), decode_responses=True, socket_timeout=60) as connected:
            yield connected
    finally:
        servers.with_options()


def handled(client: redis.Redis) -> list[tuple[str, str, str, int]]:
    """Each delivery: the worker, the kind of job, its customer and its number, in order."""
    found: list[str] = client.lrange("handled", 0, -1)  # type: ignore[assignment]
    return [(worker, kind, customer, int(n)) for worker, kind, customer, n in map(str.split, found)]


@pytest.mark.parametrize("library", LIBRARIES)
def test_two_workers(client: redis.Redis, library: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    environment = {} if library == "redis-py" else {"NODE_PATH": str(request.getfixturevalue("modules"))}
    client.xgroup_create("jobs", "workers", id="0", mkstream=True)
    client.execute_command(
        "XGROUP", "CFGSET", "jobs", "workers", "ACKWAIT", 300, "MAXDELIVER", 3, "DEADLETTER", "dead",
        "ORDERBY", "customer",
    )  # fmt: skip
    kinds = ["good", "flaky", "good", "good", "flaky", "good", "good"]
    for n, kind in enumerate(kinds):
        for customer in CUSTOMERS:
            client.xadd("jobs", {"kind": kind, "customer": customer, "n": n})
    client.xadd("jobs", {"kind": "poison", "customer": "eve", "n": 0})
    client.xadd("jobs", {"kind": "good", "customer": "eve", "n": 1})
    due = round(time.time() * 1000) + DELAY_MS
    client.execute_command("XADD", "jobs", "AT", due, "*", "kind", "good", "customer", "fay", "n", 0)
    url = f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/0"
    commands = {name: [*LIBRARIES[library], url, name] for name in ("one", "two")}
    with workers(commands, tmp_path, **environment):

        def done() -> bool:
            pending = client.xpending("jobs", "workers")["pending"]
            return not pending and any(customer == "fay" for _, _, customer, _ in handled(client))

        until(done, "all jobs handled", lambda: logs_of(tmp_path))
    deliveries = handled(client)
    counts = Counter(delivery[1:] for delivery in deliveries)
    # Retried once each, by whichever worker; the poison as often as is allowed. (A flaky job fails once a worker.)
    assert all(count in (2, 3) for (kind, *_), count in counts.items() if kind == "flaky")
    assert counts["poison", "eve", 0] == 3
    assert all(count == 1 for (kind, *_), count in counts.items() if kind == "good")
    assert len(counts) == len(kinds) * len(CUSTOMERS) + 3
    # In order, though two workers took them and some failed.
    for customer in (*CUSTOMERS, "eve"):
        order = [n for _, _, of, n in deliveries if of == customer]
        assert order == sorted(order)
    [(_, letter)] = client.xrange("dead")
    assert (letter["kind"], letter["customer"], letter["dead-delivery-count"]) == ("poison", "eve", "3")
    # The delayed job was added when it was due, not before.
    [(id, job)] = client.xrevrange("jobs", count=1)
    assert job["customer"] == "fay" and int(id.partition("-")[0]) >= due
