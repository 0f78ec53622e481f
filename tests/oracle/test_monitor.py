"""MONITOR beside redis-server: what is shown and in which form, and what a monitoring client may do."""

import re
from collections.abc import Iterator

import pytest

from tests.oracle.harness import CLOSED, SILENT, AnyCommand, Client, Masked, Shape, pair, requires, same

pytestmark = requires("8.10")


def _line(reply: bytes) -> bytes:
    """A line without its time and its client's port."""
    return re.sub(rb"127\.0\.0\.1:\d+", b"127.0.0.1:#", re.sub(rb"^\+\d+\.\d{6} ", b"+# ", reply))


Clients = tuple[Client, Client]


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def clients(request: pytest.FixtureRequest) -> Iterator[Clients]:
    """A monitoring client, and another."""
    monitor, client = Client(request.param, mask=_line), Client(mask=_line)
    try:
        monitor.do("MONITOR")
        yield monitor, client
    finally:
        monitor.close()
        client.close()


def shown(monitor: Client, client: Client) -> bytes:
    """All that the monitor is shown, compared line by line; the reference's."""
    client.do("ECHO end-of-this")
    lines = [monitor.receive("(a line)")]
    while b"end-of-this" not in lines[-1]:
        assert lines[-1] not in (CLOSED, SILENT)
        lines.append(monitor.receive("(a line)"))
    return b"".join(lines)


SCRIPT = "redis.call('SET', 'a', 'x') redis.pcall('LPOP', 'a') return redis.call('GET', 'a')"


@pytest.mark.parametrize(
    "script",
    [
        ["SET a x", "get a", "GET", "NOSUCH", "SELECT 3", "GET a", "ECHO é", ["ECHO", bytes(range(256))], ["ECHO", ""]],
        ["AUTH secret", "AUTH me secret", "CONFIG GET maxclients", "DEBUG SLEEP 0", "SLOWLOG GET 0", "LATENCY LATEST"],
        ["MULTI", "SET a x", "CONFIG GET maxclients", ["EVAL", SCRIPT, 0], "EXEC", "MULTI", "GET", "EXEC"],
        ["MULTI", "GET a", "DISCARD", "WATCH a", "SET a y", "MULTI", "GET a", "EXEC"],
        [["EVAL", SCRIPT, 0], ["EVAL_RO", "return 1", 0], ["EVALSHA", "f" * 40, 0], ["EVAL", "return $", 0],
         ["EVAL", "return 1", "x"], ["EVAL", "redis.call('SELECT', 2) redis.call('GET', 'a')", 0], "PING"],
        [["FUNCTION", "LOAD", "REPLACE", "#!lua name=l\nredis.register_function('f', function() "
          "return redis.call('GET', 'a') end)"], "FCALL f 0", "FCALL nosuch 0", "FUNCTION FLUSH"],
        ["BLPOP nokey 0.01", "RPUSH l x y", "BLPOP l 0", "XADD s 1-1 f v", "XREAD BLOCK 10 STREAMS s $", "LPOP s"],
        ["SUBSCRIBE c", "PING", "UNSUBSCRIBE c", "PUBLISH c m", "RESET", "FLUSHALL", "CLIENT SETNAME x",
         "COMMAND COUNT"],
        ["CLIENT REPLY ON", "OBJECT ENCODING a", "CLIENT NO-EVICT on", "CLIENT KILL ID 99999", "SWAPDB 0 1", "DBSIZE"],
    ],
)  # fmt: skip
def test_what_is_shown(clients: Clients, script: list[AnyCommand]) -> None:
    monitor, client = clients
    with pair(mask=_line) as both:
        other = both.client()
        for command in script:
            client.do(Shape(command) if command in ("COMMAND COUNT", "DBSIZE") else command)
            shown(monitor, other)


def test_a_waiting_client_is_shown_once(clients: Clients) -> None:
    monitor, client = clients
    with pair() as both:
        waiting = both.client()
        shown(monitor, client)
        waiting.send("BLPOP l 0")
        assert b"BLPOP" in monitor.receive("(a line)")
        client.do("RPUSH l x")
        waiting.receive()
        waiting.do("ECHO next")
        assert b"BLPOP" not in shown(monitor, client)


def test_a_monitors_own_requests(clients: Clients) -> None:
    monitor, client = clients
    for command in ("GET a", "SET a x", "PUBLISH c m", "PING", "MULTI", "GET a", "EXEC", "CONFIG GET maxclients"):
        monitor.do(command)
        shown(monitor, client)
    monitor.send("MONITOR")  # no reply
    shown(monitor, client)


def test_reset_ends_it(clients: Clients) -> None:
    monitor, client = clients
    monitor.do("RESET")
    client.do("PING")
    monitor.nothing()
    monitor.do("GET a")


def test_its_letter(clients: Clients) -> None:
    monitor, _ = clients
    monitor.do(Masked("CLIENT INFO", lambda reply: b"".join(re.findall(rb" flags=\w+ ", reply))))


def test_where_it_is_refused() -> None:
    same(["MULTI", "MONITOR", "GET a", "EXEC", ["EVAL", "return redis.call('MONITOR')", 0], "MONITOR x"])
    same(["SUBSCRIBE c", "MONITOR"], resp=(2,))


def test_a_monitor_may_subscribe() -> None:
    monitor, client = Client(3, mask=_line), Client()
    try:
        monitor.do("SUBSCRIBE c")
        monitor.do("MONITOR")
        client.do("PUBLISH c m")
        shown(monitor, client)
    finally:
        monitor.close()
        client.close()
