"""What replicas cost their master: its CPU time a request, and how long its clients wait while one copies everything.

All replicas are redis-servers, so that only the masters differ.
"""

import contextlib
import socket
import statistics
import time
from collections.abc import Iterator, Sequence

from filling import KEYS, fill
from loads import Sample, by_benchmark
from servers import LoadFailed, Server, encode
from tables import table

REPLICAS = 2
DEPTHS = {1: 60_000, 16: 400_000}
"""Pipeline depths, each with the requests of one run."""

SYNC_SECONDS = 300.0
SETTINGS = ("--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0")


def cost(servers: Sequence[Server], rounds: int, share: float, keys: int) -> str:
    """Both tables. share: of a run's usual requests. The first server's program is that of the replicas."""
    with _replicas(servers) as following:
        for server in servers:
            server.call("FLUSHALL")
            server.call("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        tables = [_requests(servers, following, rounds, share), _full_syncs(servers, following, rounds, keys)]
    return "\n".join(tables)


@contextlib.contextmanager
def _replicas(servers: Sequence[Server]) -> Iterator[dict[str, list[Server]]]:
    """For each server, by its name, those that can become its replicas."""
    started: list[Server] = []
    try:
        for server in servers * REPLICAS:
            command = [servers[0].program(), "--port", "{port}", "--dir", "{dir}", *SETTINGS]
            started.append(Server(f"a replica of {server.name}", command))
        yield {server.name: started[place :: len(servers)] for place, server in enumerate(servers)}
    finally:
        for replica in started:
            replica.stop()


def _follow(replica: Server, master: Server) -> None:
    replica.call("REPLICAOF", "127.0.0.1", master.port)
    ends = time.monotonic() + SYNC_SECONDS
    while not _linked(replica):
        if time.monotonic() > ends:
            raise LoadFailed(f"{replica.name} is not in sync")
        time.sleep(0.05)


def _linked(replica: Server) -> bool:
    return replica.info("replication", "master_link_status") == "up"


def _requests(servers: Sequence[Server], following: dict[str, list[Server]], rounds: int, share: float) -> str:
    """SET without replicas, with one, and with two."""
    load = by_benchmark("-t", "set", "-r", "100000")
    found: dict[tuple[str, int, int], list[Sample]] = {}
    for count in range(REPLICAS + 1):
        # in this order: once there has been a replica, a master writes its backlog
        for server in servers:
            if count:
                _follow(following[server.name][count - 1], server)
        for depth, requests in DEPTHS.items():
            for number in range(rounds):
                for place in range(len(servers)):
                    server = servers[(place + number) % len(servers)]
                    server.settle()
                    sample = load(server, max(int(requests * share), 1000), depth)
                    found.setdefault((server.name, depth, count), []).append(sample)
    rows = []
    for (name, depth, count), samples in sorted(found.items(), key=lambda item: item[0][1:]):
        cpu = statistics.median(sample.cpu for sample in samples)
        alone = statistics.median(sample.cpu for sample in found[name, depth, 0])
        redis = statistics.median(
            ours.cpu / theirs.cpu for ours, theirs in zip(samples, found[servers[0].name, depth, count], strict=True)
        )
        rate = statistics.median(sample.rate for sample in samples)
        figures = [f"{rate:,.0f}", f"{cpu * 1e6:.2f}", f"{(cpu - alone) * 1e6:+.2f}", f"{redis:.2f}"]
        rows.append([name, str(depth), str(count), *figures])
    head = [
        "server",
        "pipeline",
        "replicas",
        "SET req/s",
        "CPU us",
        "because of them, us",
        f"CPU over {servers[0].name}",
    ]
    return table("SET with replicas", head, rows)


def _full_syncs(servers: Sequence[Server], following: dict[str, list[Server]], rounds: int, keys: int) -> str:
    """The longest PING while a replica copies everything, and in as long a time without that.

    Of all rounds the best: what the server itself does for long is in each, what the machine does is not.
    """
    rows = []
    for server in servers:
        first, *others = following[server.name]
        for replica in (first, *others):
            replica.call("REPLICAOF", "NO", "ONE")
        server.call("FLUSHALL")
        fill(server, KEYS["string key"], keys)
        server.settle()
        worst, quiet, took, forks = [], [], [], []
        for _ in range(rounds):
            with server.connect() as sock:
                began = time.monotonic()
                first.call("REPLICAOF", "127.0.0.1", server.port)
                worst.append(_pings(sock, first, SYNC_SECONDS))
                took.append(time.monotonic() - began)
                forks.append(int(server.info("stats", "latest_fork_usec") or 0) / 1e6)
                server.settle()
                quiet.append(_pings(sock, None, took[-1]))
            # as a master it writes something of its own, so it can't continue
            first.call("REPLICAOF", "NO", "ONE")
            first.call("SET", "own", "x")
        milliseconds = [f"{min(values) * 1000:.1f}" for values in (worst, forks, quiet)]
        rows.append([server.name, f"{min(took):.1f}", *milliseconds])
        server.call("FLUSHALL")
    head = ["server", "seconds", "longest PING, ms", "of it the fork, ms", "longest PING without, ms"]
    return table(f"A full sync of {keys:,} keys, best of {rounds}", head, rows)


def _pings(sock: socket.socket, replica: Server | None, seconds: float) -> float:
    """The longest time that a PING takes until the replica is linked, or for so many seconds."""
    worst, polled = 0.0, 0.0
    ends = time.monotonic() + seconds
    while (sent := time.monotonic()) < ends:
        sock.sendall(encode("PING"))
        sock.recv(64)
        worst = max(worst, time.monotonic() - sent)
        if replica is not None and sent - polled > 0.1:
            polled = sent
            if _linked(replica):
                return worst
    if replica is not None:
        raise LoadFailed(f"{replica.name} is not in sync")
    return worst
