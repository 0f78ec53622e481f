"""Keyspace events of stream commands beside redis-server: which, for what, in what order."""

import pytest

from tests.oracle.harness import Masked, pair, requires
from tests.oracle.test_stream_info import idle

pytestmark = requires("8.10")

SETUP = [
    *[f"XADD s {n} f v" for n in range(1, 8)],
    "XGROUP CREATE s g 0",
    "XREADGROUP GROUP g c COUNT 4 STREAMS s >",
]


@pytest.mark.parametrize(
    "command",
    [
        "XADD s 9 f v",
        "XADD t 9 f v",
        "XADD t NOMKSTREAM 9 f v",
        "XADD s MAXLEN 3 9 f v",
        "XADD s MAXLEN ~ 3 9 f v",
        "XADD s 1 f v",
        "XADD s IDMP p i * f v",
        "XTRIM s MAXLEN 3",
        "XTRIM s MAXLEN 30",
        "XDEL s 1 2",
        "XDEL s 99",
        "XDELEX s IDS 2 1 2",
        "XDELEX s ACKED IDS 1 2",
        "XACKDEL s g IDS 1 1",
        "XACKDEL s g IDS 1 99",
        "XACK s g 1",
        "XNACK s g FAIL IDS 1 1",
        "XSETID s 99",
        "XCFGSET s IDMP-DURATION 7",
        "XGROUP CREATE s h 0",
        "XGROUP CREATE t h 0 MKSTREAM",
        "XGROUP CREATE s g 0",
        "XGROUP SETID s g 0",
        "XGROUP DESTROY s g",
        "XGROUP DESTROY s h",
        "XGROUP CREATECONSUMER s g c",
        "XGROUP CREATECONSUMER s g d",
        "XGROUP DELCONSUMER s g c",
        "XGROUP DELCONSUMER s g d",
        "XREADGROUP GROUP g c STREAMS s >",
        "XREADGROUP GROUP g d STREAMS s >",
        "XREADGROUP GROUP g d NOACK STREAMS s >",
        "XREADGROUP GROUP g d STREAMS s 0",
        "XREADGROUP GROUP g d CLAIM 0 STREAMS s >",
        "XCLAIM s g c 0 1",
        "XCLAIM s g d 0 99",
        "XAUTOCLAIM s g d 0 0",
        "XREAD STREAMS t 0",
        "XRANGE t - +",
        "XLEN t",
        "XINFO STREAM t",
        "XPENDING t g",
    ],
)
def test_events(command: str) -> None:
    with pair() as p:
        client, listener = p.client(), p.client(3)
        for line in SETUP:
            client.do(line)
        client.do("CONFIG SET notify-keyspace-events KEAnm")
        try:
            listener.do("PSUBSCRIBE __key*__:*")
            client.do(Masked(command, lambda reply: idle(reply) if b"IDMP p" not in command.encode() else b""))
            listener.drain()
        finally:
            client.do('CONFIG SET notify-keyspace-events ""')


def test_hits_and_misses() -> None:
    """How often each command counts as a look-up of its key."""
    with pair() as p:
        client = p.client()
        for line in SETUP:
            client.do(line)
        for command in (
            "XLEN s", "XRANGE s - +", "XREAD STREAMS s 0", "XREAD STREAMS t 0", "XINFO GROUPS s", "XPENDING s g",
            "XREADGROUP GROUP g c STREAMS s >", "XACK s g 1", "XCLAIM s g c 0 1 JUSTID", "XAUTOCLAIM s g c 0 0 JUSTID",
            "XDEL s 1", "XADD s 9 f v", "XGROUP CREATE s h 0", "XTRIM s MAXLEN 2", "XACKDEL s g IDS 1 9",
            "XNACK s g FAIL IDS 1 9", "XDELEX s IDS 1 9",
        ):  # fmt: skip
            client.do("CONFIG RESETSTAT")
            client.do(command)
            client.do(Masked("INFO stats", lookups))


def lookups(reply: bytes) -> bytes:
    return b" ".join(line for line in reply.split(b"\r\n") if line.startswith((b"keyspace_hits", b"keyspace_misses")))
