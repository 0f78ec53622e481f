"""What delayed entries cost: adding one, beside a plain XADD, and adding many to their stream that are due at once."""

import statistics
import sys
import time
from collections.abc import Sequence

from loads import TIMEOUT, Meter, Sample
from servers import LoadFailed, Server, encode
from tables import table

DEPTH = 100
FIELDS = ("job", "x" * 50)
KINDS = {
    "plain": ("XADD", "plain", "*", *FIELDS),
    "delayed": ("XADD", "later", "DELAY", "1000000000", "*", *FIELDS),
}
SPREAD_MS = 1000
"""The time within which all entries are due."""


def _server(*options: str) -> Server:
    settings = ("--port", "{port}", "--dir", "{dir}", "--bind", "127.0.0.1", "--save", "", "--stream-extensions", "yes")
    return Server("ours", [sys.executable, "-m", "broker", "serve", *settings, *options])


def cost(rounds: int, requests: int, due: int) -> str:
    """Both tables."""
    server = _server()
    found: dict[str, list[Sample]] = {kind: [] for kind in KINDS}
    try:
        for number in range(rounds):
            server.call("FLUSHALL")
            server.settle()
            for kind in (KINDS, reversed(KINDS))[number % 2]:
                found[kind].append(_add(server, KINDS[kind], requests))
    finally:
        server.stop()
    rows = [_row(kind, samples, found["plain"]) for kind, samples in found.items()]
    adding = table(
        f"adding {requests:,} entries, {DEPTH} in a pipeline", ("XADD", "per second", "CPU us", "ratio"), rows
    )
    rows = [_deliver(name, due, *options) for name, options in (("no", ()), ("yes", ("--appendonly", "yes")))]
    delivering = table(
        f"{due:,} entries that are due within {SPREAD_MS} ms",
        ("append-only file", "all added after the first was due, s", "CPU us per entry", "longest tick, ms"),
        rows,
    )
    return f"{adding}\n{delivering}"


def _row(kind: str, samples: Sequence[Sample], plain: Sequence[Sample]) -> Sequence[str]:
    ratio = statistics.median(one.cpu / other.cpu for one, other in zip(samples, plain, strict=True))
    rate = statistics.median(sample.rate for sample in samples)
    cpu = statistics.median(sample.cpu for sample in samples) * 1e6
    return kind, f"{rate:,.0f}", f"{cpu:.2f}", f"{ratio:.2f}"


def _add(server: Server, words: Sequence[str], requests: int) -> Sample:
    sock = server.connect()
    request = encode(*words) * DEPTH
    meter = Meter(server)
    for _ in range(requests // DEPTH):
        sock.sendall(request)
        lines = 0
        while lines < 2 * DEPTH:
            lines += sock.recv(1 << 16).count(b"\n")
    sample = meter.sample(requests // DEPTH * DEPTH)
    sock.close()
    return sample


def _deliver(name: str, count: int, *options: str) -> Sequence[str]:
    """Entries are added in another order than they are due in, and long before that."""
    server = _server(*options)
    try:
        first = int(time.time() * 1000) + 10_000 + count // 20
        # The step and the spread have no common factor, so every time is used as often.
        for begin in range(0, count, 1000):
            server.fill(
                b"".join(
                    encode("XADD", "s", "AT", first + number * 7919 % SPREAD_MS, "*", *FIELDS)
                    for number in range(begin, min(begin + 1000, count))
                )
            )
        if time.time() * 1000 > first - 1000:
            raise LoadFailed("adding the entries took too long")
        server.call("CONFIG", "SET", "latency-monitor-threshold", "1")
        time.sleep(first / 1000 - time.time() - 0.1)
        server.call("LATENCY", "RESET")
        meter = Meter(server)
        length = b":%d\r\n" % count
        while server.call("XLEN", "s") != length:
            if time.time() * 1000 > first + TIMEOUT * 1000:
                raise LoadFailed("not everything was added")
            time.sleep(0.005)
        took = time.time() - first / 1000
        sample = meter.sample(count)
        ticks = server.call("LATENCY", "HISTORY", "tick").split(b"\r\n:")[2::2]
        longest = max((int(tick.partition(b"\r")[0]) for tick in ticks), default=0)
    finally:
        server.stop()
    return name, f"{took:.2f}", f"{sample.cpu * 1e6:.2f}", str(longest)
