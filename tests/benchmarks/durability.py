"""The cost of keeping files besides throughput: loading them, and how clients notice a background save."""

import re
import socket
import time
from collections.abc import Sequence

from sections import MEBI, table
from servers import Server, encode

CHUNK = 20_000
SAVE_SECONDS = 300.0


def _fill_keys(server: Server, count: int) -> None:
    for at in range(0, count, CHUNK):
        server.fill(
            b"".join(encode("SET", f"key:{n:012}", f"value:{n:012}") for n in range(at, min(count, at + CHUNK)))
        )


def _fill_stream(server: Server, count: int) -> None:
    for at in range(0, count, CHUNK):
        numbers = range(at, min(count, at + CHUNK))
        server.fill(b"".join(encode("XADD", "stream", "*", "sensor", n % 1000, "value", n) for n in numbers))


def _info(server: Server, section: str, field: str) -> str:
    text = server.call("INFO", section).decode()
    found = re.search(rf"^{field}:(.*?)\r$", text, re.MULTILINE)
    assert found, f"{server.name} has no {field}"
    return found[1]


def _wait_for_child(server: Server) -> None:
    ends = time.monotonic() + SAVE_SECONDS
    while time.monotonic() < ends:
        busy = (_info(server, "persistence", name) for name in ("rdb_bgsave_in_progress", "aof_rewrite_in_progress"))
        if set(busy) == {"0"}:
            return
        time.sleep(0.05)
    raise AssertionError(f"{server.name}: the save takes too long")


def _reload(server: Server) -> float:
    """Seconds from the end of the process to the first reply of a new one."""
    server.restart_begin()
    began = time.monotonic()
    server.restart_end()
    return time.monotonic() - began


def load(servers: Sequence[Server], count: int) -> str:
    """Start-up from each kind of file."""
    rows = []
    for what, fill in (("keys", _fill_keys), ("stream entries", _fill_stream)):
        for server in servers:
            cells = [server.name, f"{count:,} {what}"]
            empty = _reload(server)
            server.call("FLUSHALL")
            fill(server, count)
            server.call("SAVE")
            cells.append(f"{_reload(server) - empty:.2f}")
            server.call("CONFIG", "SET", "appendonly", "yes")
            _wait_for_child(server)
            server.call("FLUSHALL")
            fill(server, count)
            server.arguments("--appendonly", "yes")
            cells.append(f"{_reload(server) - empty:.2f}")
            server.arguments("--appendonly", "no")
            server.call("FLUSHALL")
            server.call("SAVE")
            server.remove_files()
            server.restart()
            rows.append(cells)
    return table("Loading on start, seconds", ["server", "data", "RDB file", "append-only file"], rows)


def background_save(servers: Sequence[Server], count: int) -> str:
    """The longest time that a PING takes during a BGSAVE, and what the save costs."""
    rows = []
    for server in servers:
        server.call("FLUSHALL")
        _fill_keys(server, count)
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
        fork = int(_info(server, "stats", "latest_fork_usec"))
        copied = int(_info(server, "persistence", "rdb_last_cow_size"))
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
