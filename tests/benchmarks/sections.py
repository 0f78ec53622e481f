"""What a throughput ratio does not show: memory, fan-out, and latency under a fixed load."""

import collections
import contextlib
import random
import resource
import select
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence

from loads import WORKLOADS, publish, redis_benchmark
from servers import LoadFailed, Server, encode

MEBI = 1 << 20
LATENCY_CLIENTS = 50


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table under a heading."""
    lines = [f"\n### {title}\n", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def raise_file_limit() -> int:
    """Let this process, and servers started later, open as many files as allowed; returns the new limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def idle_clients(servers: Sequence[Server], count: int) -> str:
    """Memory of connected clients that have sent one PING each."""
    rows = []
    for server in servers:
        with contextlib.ExitStack() as stack:
            server.call("PING")
            before, cpu = server.resident_bytes(), server.cpu_seconds()
            socks = [stack.enter_context(server.connect()) for _ in range(count)]
            for sock in socks:
                sock.sendall(encode("PING"))
            answered = sum(sock.recv(64) == b"+PONG\r\n" for sock in socks)
            connecting = server.cpu_seconds() - cpu
            grown = server.resident_bytes() - before
            cpu = server.cpu_seconds()
            time.sleep(2)
            idle = (server.cpu_seconds() - cpu) / 2
            rows.append(
                [server.name, f"{answered:,}", f"{grown / MEBI:.1f}", f"{grown / count / 1024:.2f}",
                 f"{connecting / count * 1e6:.0f}", f"{100 * idle:.1f} %"]
            )  # fmt: skip
    head = ["server", "clients", "MiB more", "KiB per client", "CPU us to connect and PING", "CPU while idle"]
    return table(f"{count:,} idle clients", head, rows)


def stream_memory(servers: Sequence[Server], entries: int) -> str:
    """Memory of a stream whose entries have two fields."""
    rows = []
    for server in servers:
        server.call("FLUSHALL")
        before = server.resident_bytes()
        fields = ["sensor", "__rand_int__", "value", "__rand_int__"]
        command = redis_benchmark(server, entries, 50, "-r", "1000000", "XADD", "readings", "*", *fields)
        subprocess.run(command, capture_output=True, timeout=600, check=True)
        grown = server.resident_bytes() - before
        length = server.call("XLEN", "readings").strip(b":\r\n").decode()
        rows.append([server.name, length, f"{grown / MEBI:.0f}", f"{grown / entries:.0f}"])
        server.call("FLUSHALL")
    head = ["server", "XLEN", "MiB more", "bytes per entry"]
    return table(f"{entries:,} stream entries of two fields", head, rows)


def type_memory(servers: Sequence[Server], elements: int) -> str:
    """Bytes per key or element, by type: many small keys, or one large value."""
    fills = {
        "string key": lambda n: encode("SET", f"key:{n:012}", f"value:{n:012}"),
        "string key with a TTL": lambda n: encode("SET", f"key:{n:012}", f"value:{n:012}", "EX", 100_000),
        "hash key of 5 fields": lambda n: encode("HSET", f"user:{n:012}", *(x for f in range(5) for x in (f"f{f}", n))),
        "list element": lambda n: encode("RPUSH", "list", f"job:{n:012}"),
        "hash field": lambda n: encode("HSET", "hash", f"field:{n:012}", f"value:{n:012}"),
        "set member": lambda n: encode("SADD", "set", f"member:{n:012}"),
        "sorted set member": lambda n: encode("ZADD", "board", n, f"member:{n:012}"),
        "stream entry": lambda n: encode("XADD", "stream", "*", "sensor", n, "value", n),
    }
    rows = []
    for name, command in fills.items():
        grown = []
        for server in servers:
            server.call("FLUSHALL")
            before = server.resident_bytes()
            for at in range(0, elements, 10_000):
                server.fill(b"".join(command(n) for n in range(at, at + 10_000)))
            grown.append((server.resident_bytes() - before) / elements)
            server.restart()
        rows.append([name, *(f"{size:.0f}" for size in grown), f"{grown[1] / grown[0]:.2f}"])
    head = ["what", *(server.name for server in servers), "ratio"]
    return table(f"Bytes per element, {elements:,} of each", head, rows)


def fan_out(servers: Sequence[Server], subscribers: int, messages: int) -> str:
    """One publisher, many subscribers: messages delivered per second, median of three."""
    rows = []
    rates: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(3):
        for server in servers:
            done, seconds = publish(subscribers, 1)(server, messages, 1)
            rates[server.name].append(done * subscribers / seconds)
    base = statistics.median(rates[servers[0].name])
    for name, measured in rates.items():
        rate = statistics.median(measured)
        rows.append([name, f"{rate:,.0f}", f"{rate / base:.2f}"])
    return table(f"one publisher to {subscribers:,} subscribers", ["server", "messages/s delivered", "ratio"], rows)


def latency(servers: Sequence[Server], seconds: float) -> str:
    """GET latency of 50 clients at half of the slower server's rate, sent at random times (open loop)."""
    get = WORKLOADS["GET"]
    half = min(get.measure(server, 50_000, 1).rate for server in servers) / 2
    rows = []
    for server in servers:
        took = sorted(_paced(server, half, seconds))
        p50, p99, p999 = (took[int(len(took) * share)] * 1e6 for share in (0.5, 0.99, 0.999))
        rate = len(took) / seconds
        rows.append([server.name, f"{rate:,.0f}", f"{p50:.0f}", f"{p99:.0f}", f"{p999:.0f}"])
    return table("latency at half load (GET)", ["server", "requests/s", "p50 us", "p99 us", "p99.9 us"], rows)


def _arrivals(rate: float, seconds: float) -> Iterator[float]:
    chance = random.Random(1)
    at = 0.0
    while (at := at + chance.expovariate(rate)) < seconds:
        yield at


def _paced(server: Server, rate: float, seconds: float) -> list[float]:
    """Seconds from each request's due time to its reply."""
    server.call("SET", "key", "xxx")
    request, reply = encode("GET", "key"), len(b"$3\r\nxxx\r\n")
    socks = [server.connect() for _ in range(LATENCY_CLIENTS)]
    poller = select.epoll()
    owed: dict[int, tuple[socket.socket, collections.deque[float]]] = {}
    for sock in socks:
        sock.setblocking(False)
        poller.register(sock, select.EPOLLIN)
        owed[sock.fileno()] = sock, collections.deque()
    took: list[float] = []
    clock = time.perf_counter
    start = clock()
    outstanding = turn = 0
    queues = list(owed.values())
    arrivals = _arrivals(rate, seconds)
    due: float | None = next(arrivals)
    while due is not None or outstanding:
        now = clock() - start
        while due is not None and due <= now:
            sock, queue = queues[turn]
            turn = (turn + 1) % LATENCY_CLIENTS
            sock.send(request)
            queue.append(due)
            outstanding += 1
            due = next(arrivals, None)
        wait = 5.0 if due is None else 0.0
        ready = poller.poll(wait)
        if not ready and due is None:
            raise LoadFailed(f"{server.name} owes {outstanding} replies")
        for fd, _ in ready:
            sock, queue = owed[fd]
            now = clock() - start
            for _ in range(len(sock.recv(1 << 16)) // reply):
                took.append(now - queue.popleft())
                outstanding -= 1
    poller.close()
    for sock in socks:
        sock.close()
    return took
