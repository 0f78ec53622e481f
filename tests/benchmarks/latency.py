"""How long PING takes at half load, in quiet and in situations that may hold a server up.

Open loop: requests are due at random moments (a Poisson process) whether or not earlier ones have been answered, and a
request's time counts from when it was due, so that a stall counts for all that it delays.
"""

import collections
import contextlib
import os
import random
import select
import shlex
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from servers import LoadFailed, Server, encode
from situations import Beginning, Situation, situations
from tables import table
from workloads import WORKLOADS

CLIENTS = 50
LEAD_SECONDS = 0.5
QUIET_SECONDS = 10.0
REQUEST = encode("PING")
REPLY = b"+PONG\r\n"
SHARES = (0.5, 0.99, 0.999, 1.0)


def latency(servers: Sequence[Server], keys: int, seconds: float, rounds: int) -> str:
    """Percentiles over the seconds after each situation has begun, medians of the rounds."""
    ping = WORKLOADS["PING"]
    rate = min(ping.measure(server, 50_000, 1).rate for server in servers) / 2
    rows = []
    for name, situation in situations(keys).items():
        found: dict[str, list[list[float]]] = {server.name: [] for server in servers}
        for number in range(rounds):
            for server in servers if number % 2 else reversed(servers):
                found[server.name].append(_percentiles(_in_situation(server, situation, keys, rate, seconds)))
        medians = {of: [statistics.median(figures) for figures in zip(*found[of], strict=True)] for of in found}
        base = medians[servers[0].name]
        for of, figures in medians.items():
            times = (f"{figure * 1e6:,.0f}" for figure in figures)
            rows.append([name, of, *times, f"{figures[2] / base[2]:.2f}"])
    head = ["during", "server", "p50 us", "p99 us", "p99.9 us", "worst us", "p99.9 ratio"]
    return table(f"latency of PING at half load ({rate:,.0f} requests a second), {seconds:g} s each", head, rows)


def _percentiles(took: Sequence[float]) -> list[float]:
    ordered = sorted(took)
    return [ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in SHARES]


def _in_situation(server: Server, situation: Situation, keys: int, rate: float, seconds: float) -> list[float]:
    """Seconds that requests took which were due after the situation had begun."""
    server.call("FLUSHALL")
    server.settle()
    with situation(server, keys) as beginning, _ready(server, beginning) as begin:
        if beginning.moment:
            time.sleep(max(0.0, beginning.moment - LEAD_SECONDS - time.time()))
        return _paced(server, rate, seconds, begin)


@contextlib.contextmanager
def _ready(server: Server, beginning: Beginning) -> Iterator[Callable[[], object]]:
    """A function that has the situation's command given, by a process that is there already: to start one takes
    milliseconds, which this process has not got."""
    if not beginning.command:
        yield lambda: None
        return
    again = [] if beginning.pause is None else ["-r", "-1", "-i", str(beginning.pause)]
    command = shlex.join(["redis-cli", "-p", str(server.port), *again, *beginning.command])
    with subprocess.Popen(
        ["sh", "-c", f"read begin && exec {command} < /dev/null"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as waiting:
        assert waiting.stdin
        try:
            pipe = waiting.stdin.fileno()
            yield lambda: os.write(pipe, b"\n")
        finally:
            waiting.kill()


class _Client:
    """A connection, and the due times of the requests that it is owed replies to."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.due: collections.deque[float] = collections.deque()
        self._partly = 0

    def send(self, due: float) -> bool:
        """False if the server has left so much unread that nothing more can be sent."""
        try:
            self.sock.send(REQUEST)
        except BlockingIOError:
            return False
        self.due.append(due)
        return True

    def answered(self) -> int:
        """The number of replies that have come."""
        got = self.sock.recv(1 << 16)
        if not got:
            raise LoadFailed("the server has closed a connection")
        replies, self._partly = divmod(self._partly + len(got), len(REPLY))
        return replies


def _arrivals(rate: float, seconds: float) -> Iterator[float]:
    chance = random.Random(1)
    at = 0.0
    while (at := at + chance.expovariate(rate)) < seconds:
        yield at


def _paced(server: Server, rate: float, seconds: float, begin: Callable[[], object]) -> list[float]:
    """Seconds from each request's due time to its reply, of those due after `begin` was called."""
    with contextlib.ExitStack() as stack:
        clients = [_Client(stack.enter_context(server.connect())) for _ in range(CLIENTS)]
        poller = stack.enter_context(select.epoll())
        by_fd = {client.sock.fileno(): client for client in clients}
        for fd in by_fd:
            poller.register(fd, select.EPOLLIN)
        took: list[float] = []
        arrivals = _arrivals(rate, LEAD_SECONDS + seconds)
        due: float | None = next(arrivals)
        outstanding = turn = 0
        begun = False
        clock = time.perf_counter
        start = clock()
        while due is not None or outstanding:
            now = clock() - start
            if not begun and now >= LEAD_SECONDS:
                begun = True
                begin()
            while due is not None and due <= now and clients[turn].send(due):
                turn = (turn + 1) % CLIENTS
                outstanding += 1
                due = next(arrivals, None)
            ready = poller.poll(QUIET_SECONDS if due is None else 0)
            if not ready and due is None:
                raise LoadFailed(f"{server.name} owes {outstanding} replies")
            for fd, _ in ready:
                client = by_fd[fd]
                replies = client.answered()
                now = clock() - start
                outstanding -= replies
                for _ in range(replies):
                    at = client.due.popleft()
                    if at >= LEAD_SECONDS:
                        took.append(now - at)
        return took
