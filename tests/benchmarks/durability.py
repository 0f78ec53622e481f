"""What keeping files costs beside throughput: loading them, and what clients notice of a save in the background."""

import contextlib
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from filling import ELEMENTS, KEYS, fill
from memory import MEBI
from servers import Server, encode
from tables import table

LOADED: dict[str, Callable[[int], bytes]] = {
    "keys": KEYS["string key"],
    "hashes of 5 fields": KEYS["hash key of 5 fields"],
    "entries of one stream": ELEMENTS["stream entry"],
    "elements of one list": ELEMENTS["list element"],
    "fields of one hash": ELEMENTS["hash field"],
    "members of one set": ELEMENTS["set member"],
    "members of one sorted set": ELEMENTS["sorted set member"],
}
AT_ONCE = "members of one set, by one command"


def load(servers: Sequence[Server], count: int) -> str:
    """Start-up from each kind of file: seconds, CPU seconds, and how long clients wait meanwhile for LOADING replies.

    The append-only file is one command an element, with nothing in its base; and once a single command.
    """
    rows = []
    empty = {}
    for server in servers:
        with _appending(server, "no"):
            starts = [_reload(server) for _ in range(3)]
        empty[server.name] = tuple(statistics.median(values) for values in zip(*starts, strict=True))
    for what, command in LOADED.items():
        for server in servers:
            cells = [server.name, f"{count:,} {what}"]
            with _appending(server, "no"):
                fill(server, command, count)
                server.call("SAVE")
                cells += _loading(server, *empty[server.name])
            with _appending(server, "yes"):
                fill(server, command, count)
                cells += _loading(server, *empty[server.name])
            rows.append(cells)
    for server in servers:
        with _appending(server, "yes"):
            server.call("SADD", "set", *(f"member:{n:012}" for n in range(count)))
            cells = [server.name, f"{count:,} {AT_ONCE}", "", "", ""]
            rows.append(cells + _loading(server, *empty[server.name]))
    file = ["{}, s", "its CPU, s", "longest reply, ms"]
    head = ["server", "data", *(text.format(kind) for kind in ("RDB file", "append-only file") for text in file)]
    return table("Loading at the start", head, rows)


@contextlib.contextmanager
def _appending(server: Server, value: str) -> Iterator[None]:
    """With an empty append-only file or none, and afterwards without data and as the server was started."""
    usual = server.argument("--appendonly")
    server.set_argument("--appendonly", value)
    server.restart(keep_files=False)
    yield
    server.set_argument("--appendonly", usual)
    server.restart(keep_files=False)


def _reload(server: Server) -> tuple[float, float]:
    """Seconds from the end of the process to the first answer of a new one, and the CPU seconds of that."""
    server.restart_begin()
    began = time.monotonic()
    server.restart_end()
    return time.monotonic() - began, server.cpu_seconds()


def _loading(server: Server, empty: float, empty_cpu: float) -> list[str]:
    """Seconds and CPU seconds that a start takes beyond an empty one; milliseconds of the slowest reply to a PING."""
    seconds, cpu = _reload(server)
    return [f"{seconds - empty:.2f}", f"{cpu - empty_cpu:.2f}", f"{server.longest_wait * 1000:.1f}"]


def background_save(servers: Sequence[Server], count: int) -> str:
    """The longest time that a PING takes during a BGSAVE, and what the save costs."""
    rows = []
    for server in servers:
        server.call("FLUSHALL")
        fill(server, KEYS["string key"], count)
        before = server.resident_bytes()
        with server.connect() as sock:
            began = time.monotonic()
            server.call("BGSAVE")
            worst = 0.0
            while _still_saving(sock):
                sent = time.monotonic()
                sock.sendall(encode("PING"))
                sock.recv(64)
                worst = max(worst, time.monotonic() - sent)
            seconds = time.monotonic() - began
        fork = int(server.info("stats", "latest_fork_usec") or 0)
        copied = int(server.info("persistence", "rdb_last_cow_size") or 0)
        rows.append(
            [server.name, f"{seconds:.2f}", f"{fork / 1000:.1f}", f"{worst * 1000:.1f}", f"{before / MEBI:.0f}",
             f"{copied / MEBI:.0f}"]
        )  # fmt: skip
        server.call("FLUSHALL")
    head = ["server", "seconds", "fork, ms", "longest PING, ms", "MiB resident", "MiB the child copied"]
    return table(f"BGSAVE of {count:,} keys", head, rows)


def _still_saving(sock: socket.socket) -> bool:
    sock.sendall(encode("INFO", "persistence"))
    text = b""
    while not text.endswith(b"\r\n\r\n") and b"module_fork_last_cow_size" not in text:
        text += sock.recv(1 << 16)
    return b"rdb_bgsave_in_progress:1" in text
