"""Keyspace events of stream commands beside redis-server: which, for what, in what order."""

import pytest

from tests.oracle.harness import Masked, pair, requires, stream_ids
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
        "XADD s * f v",
        "XADD s MAXLEN 3 * f v",
        "XADD s MAXLEN ~ 3 * f v",
        "XADD t * f v",
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
            client.do(Masked(command, lambda reply: idle(stream_ids(reply))))
            listener.drain()
        finally:
            client.do('CONFIG SET notify-keyspace-events ""')


def test_changes_since_the_last_save() -> None:
    """How many changes each command counts as."""
    with pair(mask=stream_ids) as p:
        client = p.client()
        for line in SETUP:
            client.do(line)
        client.do("SAVE")
        for command in (
            "XADD s * f v", "XADD s MAXLEN 7 * f v", "XADD s MAXLEN ~ 7 * f v", "XADD s MAXLEN 6 9999999999999 f v",
            "XADD s NOMKSTREAM * f v", "XADD t NOMKSTREAM * f v", "XADD u 1 f v",
            "XREADGROUP GROUP g c COUNT 1 STREAMS s >", "XREADGROUP GROUP g c COUNT 1 NOACK STREAMS s >",
            "XREADGROUP GROUP g d STREAMS s 0", "XREADGROUP GROUP g c STREAMS s 0",
            "XREADGROUP GROUP g e COUNT 1 STREAMS s >", "XREADGROUP GROUP g c COUNT 1 MAXCOUNT 1 STREAMS s >",
            "XREADGROUP GROUP g c STREAMS s >", "XREADGROUP GROUP g f STREAMS s >", "XREADGROUP GROUP g c STREAMS s >",
            "XACK s g 1", "XACK s g 3 4 99", "XGROUP CREATE s h 0", "XREADGROUP GROUP h c COUNT 3 STREAMS s >",
            "XGROUP CREATE u h 0", "XADD u 2 f v", "XREADGROUP GROUP h c STREAMS s u > >",
            "XCLAIM s h d 0 5 6 JUSTID", "XCLAIM s h d 0 99", "XAUTOCLAIM s h e 0 0 COUNT 2 JUSTID",
            "XNACK s h FAIL IDS 2 6 7", "XGROUP SETID s h 0", "XGROUP CREATECONSUMER s h z", "XGROUP DELCONSUMER s h z",
            "XGROUP DELCONSUMER s h d", "XGROUP DESTROY s h", "XDEL s 5 6 99", "XDELEX s IDS 2 7 99",
            "XTRIM s MAXLEN 1", "XTRIM s MAXLEN 1", "XSETID s 9999999999999-9",
        ):  # fmt: skip
            client.do(Masked(command, lambda reply: idle(stream_ids(reply))))
            client.do(Masked("INFO persistence", changes))


def changes(reply: bytes) -> bytes:
    return b"".join(line for line in reply.split(b"\r\n") if line.startswith(b"rdb_changes_since_last_save"))


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
