"""What may hold up a server while clients expect quick answers. Each is brought about on any of the servers alike.

A situation is a context manager of (server, keys): it prepares, and yields what begins it. Afterwards the server is
empty and set up as before.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from filling import KEYS, fill
from servers import LoadFailed, Server, encode

MEBI = 1 << 20
SCRIPT_SECONDS = 0.05
SCRIPT = "local n = 0 for i = 1, tonumber(ARGV[1]) do n = n + i end return n"


@dataclass(frozen=True)
class Beginning:
    """How a situation begins: a command of redis-cli, or nothing but a point in time."""

    command: tuple[str, ...] = ()
    pause: float | None = None
    """Seconds after which the command is given again, and again; None: it is given once."""
    moment: float = 0.0
    """The Unix time at which it begins by itself; 0: as soon as we like."""


Situation = Callable[[Server, int], contextlib.AbstractContextManager[Beginning]]


@contextlib.contextmanager
def _steady(server: Server, keys: int) -> Iterator[Beginning]:
    yield Beginning()


@contextlib.contextmanager
def _keys(server: Server, keys: int) -> Iterator[None]:
    """Many small keys, which are gone afterwards."""
    fill(server, KEYS["string key"], keys)
    server.settle()
    yield
    server.call("FLUSHALL")


@contextlib.contextmanager
def _flushing(server: Server, keys: int) -> Iterator[Beginning]:
    with _keys(server, keys):
        yield Beginning(("FLUSHALL",))


@contextlib.contextmanager
def _saving(server: Server, keys: int) -> Iterator[Beginning]:
    """One save after the other: while one is under way, BGSAVE is an error that costs nothing."""
    with _keys(server, keys):
        yield Beginning(("BGSAVE",), pause=0.1)
        server.wait_for_child()


@contextlib.contextmanager
def _rewriting(server: Server, keys: int) -> Iterator[Beginning]:
    usual = "yes" if b"yes" in server.call("CONFIG", "GET", "appendonly") else "no"
    server.call("CONFIG", "SET", "appendonly", "yes")
    server.wait_for_child()
    try:
        with _keys(server, keys):
            yield Beginning(("BGREWRITEAOF",), pause=0.1)
            server.wait_for_child()
    finally:
        server.call("CONFIG", "SET", "appendonly", usual)


@contextlib.contextmanager
def _expiring(server: Server, keys: int) -> Iterator[Beginning]:
    """Keys that are due within one second, spread evenly."""
    seconds = 5.0
    while True:
        first = time.time() + seconds
        fill(server, _due_from(int(first * 1000), keys), keys)
        if time.time() < first - 1:
            break
        server.call("FLUSHALL")
        seconds *= 2
    yield Beginning(moment=first)
    server.call("FLUSHALL")


def _due_from(first: int, keys: int) -> Callable[[int], bytes]:
    return lambda n: encode("SET", f"key:{n:012}", "xxx", "PXAT", first + n * 1000 // keys)


@contextlib.contextmanager
def _large_reply(server: Server, keys: int) -> Iterator[Beginning]:
    server.fill(encode("SET", "large", b"x" * MEBI))
    yield Beginning(("GET", "large"), pause=0.01)
    server.call("FLUSHALL")


@contextlib.contextmanager
def _slow_script(server: Server, keys: int) -> Iterator[Beginning]:
    """A loop that takes each server the same time, however fast its Lua."""
    turns = 1_000_000
    took = min(_script_seconds(server, turns) for _ in range(3))
    turns = int(turns * SCRIPT_SECONDS / took)
    yield Beginning(("EVAL", SCRIPT, "0", str(turns)), pause=0.5)


def _script_seconds(server: Server, turns: int) -> float:
    began = time.perf_counter()
    reply = server.call("EVAL", SCRIPT, 0, turns)
    if not reply.startswith(b":"):
        raise LoadFailed(f"{server.name} answered {reply!r} to a script")
    return time.perf_counter() - began


def situations(keys: int) -> dict[str, Situation]:
    """All of them, by what the table calls them."""
    many = f"{keys:,} keys"
    return {
        "steady load": _steady,
        f"FLUSHALL of {many}": _flushing,
        f"BGSAVE of {many}": _saving,
        f"AOF rewrite of {many}": _rewriting,
        f"{many} expiring": _expiring,
        "1 MiB replies, 100 a second": _large_reply,
        "a script of 50 ms, twice a second": _slow_script,
    }
