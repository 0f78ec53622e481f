"""What clients and data take in memory."""

import contextlib
import subprocess
import time
from collections.abc import Sequence

from filling import COMMANDS, fill
from loads import redis_benchmark
from servers import Server, encode
from tables import table

MEBI = 1 << 20


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
    head = ["server", "clients", "MiB more", "KiB a client", "CPU us to connect and PING", "CPU while idle"]
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
    head = ["server", "XLEN", "MiB more", "bytes an entry"]
    return table(f"{entries:,} stream entries of two fields", head, rows)


def type_memory(servers: Sequence[Server], elements: int) -> str:
    """Bytes a key or an element, by type: many small keys, or one large value."""
    rows = []
    for name, command in COMMANDS.items():
        grown = []
        for server in servers:
            server.call("FLUSHALL")
            before = server.resident_bytes()
            fill(server, command, elements)
            grown.append((server.resident_bytes() - before) / elements)
            server.restart()
        ratios = [f"{size / grown[0]:.2f}" for size in grown[1:]]
        rows.append([name, *(f"{size:.0f}" for size in grown), *ratios])
    names = [server.name for server in servers]
    head = ["what", *names, *(f"{name}/{names[0]}" for name in names[1:])]
    return table(f"bytes each, of {elements:,}", head, rows)
