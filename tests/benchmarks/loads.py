"""The measured workloads.

redis-benchmark generates the load wherever it can, because a generator must not be slower than the
servers; the others send bytes prepared beforehand and count the bytes that come back.
"""

import csv
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import scripts
from servers import LoadFailed, Server, encode

CLIENTS = 50
SUBSCRIBERS = 50
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
        """Server CPU seconds per request."""
        return self.cpu_seconds / self.requests


@dataclass(frozen=True)
class Workload:
    """run(server, requests, pipeline) makes about that many requests and returns (requests made, seconds)."""

    name: str
    run: Callable[[Server, int, int], tuple[int, float]]
    prepare: Callable[[Server, int], None] = lambda server, requests: None
    share: float = 1.0
    """Requests relative to those of a PING run of the same length."""

    def measure(self, server: Server, requests: int, pipeline: int) -> Sample:
        server.call("FLUSHALL")
        self.prepare(server, requests)
        before = server.cpu_seconds()
        done, seconds = self.run(server, requests, pipeline)
        return Sample(done, seconds, server.cpu_seconds() - before)


def redis_benchmark(server: Server, requests: int, pipeline: int, *arguments: str, clients: int = CLIENTS) -> list[str]:
    """redis-benchmark's command line."""
    load = ["-c", str(clients), "-n", str(requests), "-P", str(pipeline)]
    return [
        "redis-benchmark", "-p", str(server.port), *load, "--csv", *arguments,
    ]  # fmt: skip


def benchmark_rate(output: str) -> float:
    """Requests per second, from redis-benchmark's CSV."""
    rows = [row for row in csv.reader(output.splitlines()) if len(row) > 1]
    if not rows:
        raise LoadFailed(f"redis-benchmark printed no figures: {output!r}")
    return float(rows[-1][1])


Load = Callable[[Server, int, int], tuple[int, float]]


def by_benchmark(*arguments: str) -> Load:
    """A workload that redis-benchmark can generate alone."""

    def run(server: Server, requests: int, pipeline: int) -> tuple[int, float]:
        command = redis_benchmark(server, requests, pipeline, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise LoadFailed(f"{server.name}: {done.stdout[-200:]}{done.stderr[-200:]}".replace("\n", " "))
        return requests, requests / benchmark_rate(done.stdout)

    return run


def by_script(script: str, *arguments: str) -> tuple[Load, Callable[[Server, int], None]]:
    """A workload of EVALSHA, and the function that loads its script."""

    def prepare(server: Server, requests: int) -> None:
        server.call("SCRIPT", "LOAD", script)

    return by_benchmark("-r", "10000", "EVALSHA", scripts.sha(script), *arguments), prepare


def _fill_list(server: Server, requests: int) -> None:
    server.fill(encode("RPUSH", "mylist", *["xxx"] * 1000) * (requests // 1000 + 2))


def _fill_keys(server: Server, requests: int) -> None:
    server.fill(b"".join(encode("SET", f"key:{n:012}", "xxx") for n in range(100_000)))


def _fill_set(server: Server, requests: int) -> None:
    server.fill(b"".join(encode("SADD", "set", *range(n, n + 1000)) for n in range(0, requests * 2, 1000)))


def _fill_sorted_set(server: Server, requests: int) -> None:
    """A thousand members to read, and one to pop per request."""
    for key, count in (("board", 1000), ("queue", requests * 2)):
        server.fill(
            b"".join(
                encode("ZADD", key, *(word for m in range(n, n + 1000) for word in (m, f"member:{m}")))
                for n in range(0, count, 1000)
            )
        )


def _fill_bits(server: Server, requests: int) -> None:
    """4 KiB of bits, and a hash with one field."""
    server.fill(encode("SETRANGE", "bits", 0, b"\x5a" * 4096) + encode("HSET", "hash", "field:000000000000", "xxx"))


def hand_off(server: Server, requests: int, pipeline: int) -> tuple[int, float]:
    """BLPOP clients wait, others push; a request is one hand-off (a BLPOP and an LPUSH)."""
    requests -= requests % pipeline
    started = time.perf_counter()
    pop = redis_benchmark(server, requests, pipeline, "BLPOP", "queue", "0")
    push = redis_benchmark(server, requests, pipeline, "LPUSH", "queue", "xxx", clients=10)
    with subprocess.Popen(pop, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as popping:
        subprocess.run(push, capture_output=True, timeout=TIMEOUT, check=True)
        popping.wait(TIMEOUT)
    return requests, time.perf_counter() - started


GROUPS = 10
FIRST_ID = 1_000_000_000
BATCH = 10


def _fill_stream(server: Server, requests: int) -> None:
    ids = range(FIRST_ID, FIRST_ID + requests // GROUPS // 2 * BATCH + BATCH)
    server.fill(b"".join(encode("XADD", "jobs", f"{n}-1", "job", n) for n in ids))
    server.fill(b"".join(encode("XGROUP", "CREATE", "jobs", f"group{n}", "0") for n in range(GROUPS)))


def consume(server: Server, requests: int, pipeline: int) -> tuple[int, float]:
    """Consumers each read 10 entries (XREADGROUP) and acknowledge them (XACK), in turns."""
    rounds = requests // GROUPS // 2
    entry = b"*2\r\n" + encode(f"{FIRST_ID}-1")[4:] + encode("job", FIRST_ID)
    delivered = len(b"*1\r\n*2\r\n$4\r\njobs\r\n*10\r\n") + BATCH * len(entry)
    scripts = []
    for group in range(GROUPS):
        read = encode("XREADGROUP", "GROUP", f"group{group}", "c", "COUNT", BATCH, "STREAMS", "jobs", ">")
        steps = []
        for at in range(FIRST_ID, FIRST_ID + rounds * BATCH, BATCH):
            acknowledge = encode("XACK", "jobs", f"group{group}", *(f"{n}-1" for n in range(at, at + BATCH)))
            steps += [(read, delivered), (acknowledge, len(b":10\r\n"))]
        scripts.append(steps)
    return replay(server, scripts, pipeline)


def replay(server: Server, scripts: list[list[tuple[bytes, int]]], pipeline: int) -> tuple[int, float]:
    """Send each connection's requests, `pipeline` at a time: the next ones once the expected bytes have arrived."""
    poller = select.epoll()
    left: dict[int, tuple[socket.socket, Iterator[tuple[bytes, int]]]] = {}
    waiting: dict[int, int] = {}
    for steps in scripts:
        batches = [steps[at : at + pipeline] for at in range(0, len(steps), pipeline)]
        prepared = iter([(b"".join(b for b, _ in batch), sum(n for _, n in batch)) for batch in batches])
        sock = server.connect()
        left[sock.fileno()] = sock, prepared
    started = time.perf_counter()
    for fd, (sock, prepared) in left.items():
        data, waiting[fd] = next(prepared)
        sock.sendall(data)
        poller.register(fd, select.EPOLLIN)
    while left:
        for fd, _ in poller.poll(60) or [(-1, 0)]:
            if fd < 0:
                raise LoadFailed(f"{server.name} stopped answering; {waiting} bytes were still expected")
            sock, prepared = left[fd]
            got = sock.recv(1 << 18)
            if got[:1] == b"-" or not got:
                raise LoadFailed(f"{server.name} answered {got[:200]!r}")
            waiting[fd] -= len(got)
            if waiting[fd] > 0:
                continue
            following = next(prepared, None)
            if following is None:
                poller.unregister(fd)
                sock.close()
                del left[fd]
                continue
            waiting[fd] += following[1]
            sock.sendall(following[0])
    seconds = time.perf_counter() - started
    poller.close()
    return sum(map(len, scripts)), seconds


def publish(subscribers: int, publishers: int) -> Callable[[Server, int, int], tuple[int, float]]:
    """A workload in which every message goes to that many subscribers; it ends once they have received all."""

    def run(server: Server, requests: int, pipeline: int) -> tuple[int, float]:
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
        started = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            while expected > 0:
                ready = poller.poll(30)
                got = sum(by_fd[fd].recv_into(buffer) for fd, _ in ready)
                if not got:
                    raise LoadFailed(f"{server.name}: subscribers are missing {expected} bytes")
                expected -= got
        seconds = time.perf_counter() - started
        poller.close()
        for sock in socks:
            sock.close()
        return requests, seconds

    return run


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("PING", by_benchmark("-t", "ping_mbulk")),
        Workload("SET", by_benchmark("-t", "set", "-r", "100000")),
        Workload("GET", by_benchmark("-t", "get", "-r", "100000"), _fill_keys),
        Workload("INCR", by_benchmark("-t", "incr", "-r", "100000")),
        Workload("LPUSH", by_benchmark("-t", "lpush")),
        Workload("RPOP", by_benchmark("-t", "rpop"), _fill_list),
        Workload("LPOP", by_benchmark("-t", "lpop"), _fill_list),
        Workload("XADD", by_benchmark("XADD", "stream", "*", "field", "value"), share=0.7),
        Workload("BLPOP-handoff", hand_off, share=0.3),
        Workload("XREADGROUP+XACK", consume, _fill_stream, share=0.3),
        Workload("PUBLISH-to-50", publish(SUBSCRIBERS, CLIENTS), share=0.05),
        Workload("HSET", by_benchmark("-r", "10000", "HSET", "hash", "field:__rand_int__", "xxx")),
        Workload("HGET", by_benchmark("HGET", "hash", "field:000000000000"), _fill_bits),
        Workload("SADD", by_benchmark("-r", "100000", "SADD", "set", "member:__rand_int__")),
        Workload("SPOP", by_benchmark("SPOP", "set"), _fill_set),
        Workload(
            "ZADD", by_benchmark("-r", "10000", "ZADD", "board", "__rand_int__", "member:__rand_int__"), share=0.7
        ),
        Workload("ZINCRBY", by_benchmark("-r", "1000", "ZINCRBY", "board", "1", "member:__rand_int__"), share=0.7),
        Workload("ZRANGE-10", by_benchmark("ZRANGE", "board", "100", "109"), _fill_sorted_set, share=0.5),
        Workload("ZPOPMIN", by_benchmark("ZPOPMIN", "queue"), _fill_sorted_set, share=0.5),
        Workload("EXPIRE", by_benchmark("-r", "100000", "EXPIRE", "key:__rand_int__", "1000"), _fill_keys),
        Workload("SCAN", by_benchmark("-r", "100000", "SCAN", "__rand_int__"), _fill_keys, share=0.3),
        Workload("PFADD", by_benchmark("-r", "100000", "PFADD", "visitors", "user:__rand_int__")),
        Workload("SETBIT", by_benchmark("SETBIT", "bits", "123456", "1")),
        Workload("BITCOUNT-4K", by_benchmark("BITCOUNT", "bits"), _fill_bits),
        Workload("EVALSHA", *by_script(scripts.TRIVIAL, "0"), share=0.7),
        Workload("EVALSHA-5", *by_script(scripts.RATE_LIMITER, "1", "key:__rand_int__", "60000", "100"), share=0.2),
        Workload("EVALSHA-100", *by_script(scripts.LOOP, "1", "hash", "xxx"), share=0.03),
    )
}
