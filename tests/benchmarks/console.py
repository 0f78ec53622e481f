"""What a console costs the broker that it shows, and how soon its pages are there.

The broker has many keys, ten thousand of them queues or parts of one; five pages are open, which follow it live. The
same load is run with the console and without, alternating.
"""

import http.client
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from loads import Meter, Sample, by_benchmark
from servers import ROOT, LoadFailed, Server, encode
from tables import table

QUEUES = 10_000
FOLLOWED = (
    "/overview/events", "/queues/events", "/queues/events?order=waiting", "/queues/events?order=oldest&library=rq",
    "/queues/events?search=9",
)  # fmt: skip
PAGES = (
    "/", "/queues", "/queues?order=oldest", "/queues/queue?library=consumers&name=q7", "/keys",
    "/keys?how=part&search=77",
    "/keys/key?key=key%3A77", "/streams", "/channels", "/clients", "/slow-log", "/configuration", "/users",
)  # fmt: skip
SLOW_US = 5000
WAIT = 60.0
_ADDRESS = re.compile(r"is at http://127\.0\.0\.1:(\d+)\n")
_COUNT = re.compile(r'id="count">\s*\d+ of ([\d,]+) shown')


def cost(rounds: int, seconds: float, keys: int, requests: int) -> str:
    """All tables."""
    settings = ("--port", "{port}", "--dir", "{dir}", "--bind", "127.0.0.1", "--save", "")
    server = Server("ours", [sys.executable, "-m", "broker", "serve", *settings])
    load = by_benchmark("-t", "set")
    found: dict[bool, list[Sample]] = {False: [], True: []}
    slow: dict[bool, list[int]] = {False: [], True: []}
    share: dict[bool, list[float]] = {False: [], True: []}
    try:
        _fill(server, keys)
        server.call("CONFIG", "SET", "slowlog-log-slower-than", SLOW_US, "slowlog-max-len", 1000)
        with _console(server) as port:
            times = [_row(port, page) for page in PAGES]
        for number in range(2 * rounds):
            watched = number % 2 == 1
            if watched:
                with _console(server) as port, _open_pages(port):
                    _measure(server, load, requests, seconds, found[True], slow[True], share[True])
            else:
                _measure(server, load, requests, seconds, found[False], slow[False], share[False])
    finally:
        server.stop()
    rows = [_line(name, found[kind], slow[kind], share[kind]) for kind, name in ((False, "none"), (True, "five pages"))]
    ratio = statistics.median(
        with_it.cpu / without.cpu for with_it, without in zip(found[True], found[False], strict=True)
    )
    head = ("console", "SET per second", "CPU us per SET", "core used while idle", "commands over 5 ms", "longest ms")
    return (
        table(f"a console of a broker with {QUEUES:,} queues, CPU ratio {ratio:.3f}", head, rows)
        + "\n"
        + table(f"pages of a broker with {keys + QUEUES:,} keys", ("page", "median ms", "longest ms", "KiB"), times)
    )


def _fill(server: Server, keys: int) -> None:
    for begin in range(0, QUEUES // 2, 1000):
        names = range(begin, begin + 1000)
        server.fill(
            b"".join(
                encode("XADD", f"jobs:{{q{number}}}:normal", "*", "job", "x")
                + encode("SADD", "rq:queues", f"rq:queue:r{number}")
                + encode("RPUSH", f"rq:queue:r{number}", "job")
                for number in names
            )
        )
    for begin in range(0, keys, 10_000):
        server.fill(b"".join(encode("SET", f"key:{number}", "x" * 20) for number in range(begin, begin + 10_000)))


def _measure(
    server: Server, load: object, requests: int, seconds: float, found: list[Sample], slow: list[int],
    share: list[float],
) -> None:  # fmt: skip
    assert callable(load)
    server.call("SLOWLOG", "RESET")
    idle = Meter(server)
    time.sleep(seconds)
    share.append(idle.sample(1, seconds).cpu_seconds / seconds)
    found.append(load(server, requests, 1))
    slow += [int(one) for one in re.findall(rb"\*6\r\n:\d+\r\n:\d+\r\n:(\d+)", server.call("SLOWLOG", "GET", 1000))]


def _line(name: str, samples: Sequence[Sample], slow: Sequence[int], share: Sequence[float]) -> Sequence[str]:
    rate = statistics.median(sample.rate for sample in samples)
    cpu = statistics.median(sample.cpu for sample in samples) * 1e6
    longest = f"{max(slow) / 1000:.1f}" if slow else "-"
    return name, f"{rate:,.0f}", f"{cpu:.2f}", f"{100 * statistics.median(share):.2f} %", str(len(slow)), longest


@contextmanager
def _console(server: Server) -> Iterator[int]:
    """A console that has found all queues; its port."""
    words = [sys.executable, "-m", "broker", "ui", "--port", "0", "--url", f"redis://127.0.0.1:{server.port}"]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stderr is not None
            if (found := _ADDRESS.search(line := program.stderr.readline())) is None:
                raise LoadFailed(f"the console did not start: {line}")
            port, deadline = int(found[1]), time.monotonic() + WAIT
            while (counted := _COUNT.search(_page(port, "/queues").decode())) is None or counted[1] != f"{QUEUES:,}":
                if time.monotonic() > deadline:
                    raise LoadFailed("the console does not find all queues")
                time.sleep(0.2)
            yield port
        finally:
            program.terminate()


def _page(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        connection.request("GET", path, headers={"accept": "text/html"})
        response = connection.getresponse()
        text = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise LoadFailed(f"{path} answered {response.status}")
    return text


def _row(port: int, path: str) -> Sequence[str]:
    took = []
    for _ in range(10):
        begun = time.perf_counter()
        size = len(_page(port, path))
        took.append(1000 * (time.perf_counter() - begun))
    return path, f"{statistics.median(took):.0f}", f"{max(took):.0f}", f"{size / 1024:.0f}"


@contextmanager
def _open_pages(port: int) -> Iterator[None]:
    """Follow what open pages follow, and read all that comes."""
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT) for _ in FOLLOWED]
    readers = []
    for connection, path in zip(connections, FOLLOWED, strict=True):
        connection.request("GET", path)
        response = connection.getresponse()
        if response.status != 200:
            raise LoadFailed(f"{path} answered {response.status}")
        readers.append(threading.Thread(target=_drain, args=(response,), daemon=True))
        readers[-1].start()
    try:
        yield
    finally:
        for connection in connections:
            if connection.sock is not None:
                connection.sock.close()


def _drain(response: http.client.HTTPResponse) -> None:
    try:
        while response.read1(1 << 16):
            pass
    except (OSError, ValueError, http.client.HTTPException, AttributeError):
        pass  # the page was closed
