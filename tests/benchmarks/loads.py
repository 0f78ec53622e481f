"""How servers are loaded, and what a run is measured by.

Load comes from redis-benchmark wherever it can make it, because a generator must not be slower than the
servers; the rest sends bytes prepared beforehand and counts the bytes that come back.
"""

import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from servers import LoadFailed, Server, encode

CLIENTS = 50
PAYLOAD = "xxxxxxxxxx"
TIMEOUT = 300.0


@dataclass(frozen=True)
class Sample:
    """One run of a workload on one server."""

    requests: int
    seconds: float
    cpu_seconds: float

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu(self) -> float:
        """Server CPU seconds a request."""
        return self.cpu_seconds / self.requests


class Meter:
    """Time and the server's CPU time, from when it is made."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._cpu = server.cpu_seconds()
        self._began = time.perf_counter()

    def sample(self, requests: int, seconds: float | None = None) -> Sample:
        """What that many requests took; `seconds` where the generator knows better than the clock."""
        took = time.perf_counter() - self._began
        return Sample(requests, took if seconds is None else seconds, self._server.cpu_seconds() - self._cpu)


Load = Callable[[Server, int, int], Sample]
"""load(server, requests, pipeline) makes about that many requests, and counts those it made."""


def redis_benchmark(server: Server, requests: int, pipeline: int, *arguments: str, clients: int = CLIENTS) -> list[str]:
    """redis-benchmark's command line."""
    load = ["-c", str(clients), "-n", str(requests), "-P", str(pipeline)]
    return ["redis-benchmark", "-p", str(server.port), *load, "--csv", *arguments]


def benchmark_rate(output: str) -> float:
    """Requests a second, from redis-benchmark's CSV: the second column. The first is the command, with any quotes."""
    printed = output.splitlines()
    if len(printed) < 2:
        raise LoadFailed(f"redis-benchmark printed no figures: {output!r}")
    return float(printed[-1].rsplit(",", printed[0].count(","))[1].strip('"'))


def by_benchmark(*arguments: str) -> Load:
    """Load that redis-benchmark can make alone."""

    def run(server: Server, requests: int, pipeline: int) -> Sample:
        command = redis_benchmark(server, requests, pipeline, *arguments)
        meter = Meter(server)
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise LoadFailed(f"{server.name}: {done.stdout[-200:]}{done.stderr[-200:]}".replace("\n", " "))
        return meter.sample(requests, requests / benchmark_rate(done.stdout))

    return run


def hand_off(server: Server, requests: int, pipeline: int) -> Sample:
    """BLPOP clients wait, others push; a request is one hand-off (a BLPOP and an LPUSH)."""
    pop = redis_benchmark(server, requests, pipeline, "BLPOP", "queue", "0")
    push = redis_benchmark(server, requests, pipeline, "LPUSH", "queue", "xxx", clients=10)
    meter = Meter(server)
    with subprocess.Popen(pop, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as popping:
        subprocess.run(push, capture_output=True, timeout=TIMEOUT, check=True)
        popping.wait(TIMEOUT)
    return meter.sample(requests)


def replay(server: Server, scripts: list[list[tuple[bytes, int]]], pipeline: int) -> Sample:
    """Send each connection's requests, `pipeline` at a time: the next when the expected bytes have come."""
    poller = select.epoll()
    left: dict[int, tuple[socket.socket, Iterator[tuple[bytes, int]]]] = {}
    waiting: dict[int, int] = {}
    for steps in scripts:
        batches = [steps[at : at + pipeline] for at in range(0, len(steps), pipeline)]
        prepared = iter([(b"".join(b for b, _ in batch), sum(n for _, n in batch)) for batch in batches])
        sock = server.connect()
        left[sock.fileno()] = sock, prepared
    meter = Meter(server)
    for fd, (sock, prepared) in left.items():
        data, waiting[fd] = next(prepared)
        sock.sendall(data)
        poller.register(fd, select.EPOLLIN)
    while left:
        for fd, _ in poller.poll(60) or [(-1, 0)]:
            if fd < 0:
                raise LoadFailed(f"{server.name} stopped answering; {waiting} bytes were expected yet")
            sock, prepared = left[fd]
            got = sock.recv(1 << 18)
            if got[:1] == b"-" or not got:
                raise LoadFailed(f"{server.name} answered {got[:200]!r}")
            waiting[fd] -= len(got)
            if waiting[fd] > 0:
                continue
            if waiting[fd] < 0:
                raise LoadFailed(f"{server.name} answered more than was expected: ...{got[-200:]!r}")
            following = next(prepared, None)
            if following is None:
                poller.unregister(fd)
                sock.close()
                del left[fd]
                continue
            waiting[fd] = following[1]
            sock.sendall(following[0])
    sample = meter.sample(sum(map(len, scripts)))
    poller.close()
    return sample


def publish(subscribers: int, publishers: int) -> Load:
    """Load in which every message goes to that many subscribers; it ends when all have all of them."""

    def run(server: Server, requests: int, pipeline: int) -> Sample:
        server.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0")
        message = encode("message", "news", PAYLOAD)
        expected = len(message) * requests * subscribers
        socks = [server.connect() for _ in range(subscribers)]
        poller = select.epoll()
        for sock in socks:
            sock.sendall(encode("SUBSCRIBE", "news"))
            sock.recv(4096)
            poller.register(sock, select.EPOLLIN)
        by_fd = {sock.fileno(): sock for sock in socks}
        command = redis_benchmark(server, requests, pipeline, "PUBLISH", "news", PAYLOAD, clients=publishers)
        buffer = bytearray(1 << 18)
        meter = Meter(server)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            while expected > 0:
                ready = poller.poll(30)
                got = sum(by_fd[fd].recv_into(buffer) for fd, _ in ready)
                if not got:
                    raise LoadFailed(f"{server.name}: subscribers miss {expected} bytes")
                expected -= got
        sample = meter.sample(requests)
        poller.close()
        for sock in socks:
            sock.close()
        return sample

    return run
