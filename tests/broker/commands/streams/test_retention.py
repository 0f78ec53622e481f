"""XCFGSET with what a stream may hold: replies, errors, effects, and what XINFO STREAM shows of it."""

import pytest

from tests.broker.direct import Client
from tests.broker.effects import journal, lines
from tests.broker.sessions import make_broker
from tests.oracle.wire import parse

SYNTAX = b"-ERR syntax error\r\n"


@pytest.fixture
def client(autojump_clock: object) -> Client:
    made = Client(make_broker(stream_extensions=True))
    for line in ("XADD s 1-1 a 1", "SET text x"):
        assert not made.do(line).startswith(b"-")
    return made


def policy(client: Client) -> dict[bytes, bytes]:
    """What XINFO STREAM says of the policy, without counts."""
    items = parse(client.do("XINFO STREAM s")).items
    found = dict(zip([name.text for name in items[::2]], [value.text for value in items[1::2]], strict=True))
    names = (b"max-len", b"max-age-ms", b"max-bytes", b"retain", b"discard")
    return {name: found[name] for name in names if name in found}


async def test_options_are_set_and_removed(client: Client) -> None:
    assert policy(client) == {}
    effects = journal(client.broker)
    assert client.do("XCFGSET s maxlen 10 MAXAGE 99999999999999 MAXBYTES 5000") == b"+OK\r\n"
    everything = {b"max-len": b"10", b"max-age-ms": b"99999999999999", b"max-bytes": b"5000"}
    assert policy(client) == everything | {b"retain": b"limits", b"discard": b"old"}
    assert client.do("XCFGSET s MAXLEN 0 MAXAGE 0 RETAIN workqueue DISCARD NEW") == b"+OK\r\n"
    assert policy(client) == {b"max-bytes": b"5000", b"retain": b"workqueue", b"discard": b"new"}
    assert client.do("XCFGSET s RETAIN INTEREST DISCARD OLD") == b"+OK\r\n"
    assert client.do("XCFGSET s RETAIN LIMITS MAXBYTES 0") == b"+OK\r\n"
    assert policy(client) == {}
    assert client.do("EXISTS ~policy:{s}:s") == b":0\r\n"
    assert not client.broker.policies.by_stream
    assert lines(effects) == [
        "HSET ~policy:{s}:s maxlen 10 maxage 99999999999999 maxbytes 5000",
        "HSET ~policy:{s}:s maxbytes 5000 retain workqueue discard new",
        "HDEL ~policy:{s}:s maxlen maxage",
        "HSET ~policy:{s}:s maxbytes 5000 retain interest",
        "HDEL ~policy:{s}:s discard",
        "HDEL ~policy:{s}:s maxbytes retain",
    ]


async def test_groups_and_streams_share_the_hash(client: Client) -> None:
    client.do("XGROUP CREATE s g 0")
    client.do("XGROUP CFGSET s g ACKWAIT 5")
    assert client.do("XCFGSET s MAXLEN 10") == b"+OK\r\n"
    assert client.do("HLEN ~policy:{s}:s") == b":2\r\n"
    assert client.do("XGROUP CFGSET s g ACKWAIT 0") == b"+OK\r\n"
    assert policy(client)[b"max-len"] == b"10"
    client.do("XGROUP CFGSET s g ACKWAIT 5")
    assert client.do("XCFGSET s MAXLEN 0") == b"+OK\r\n"
    assert b"ack-wait" in client.do("XINFO GROUPS s")
    assert len(client.broker.policies.by_stream) == 1


async def test_producers_are_configured_along_with_it(client: Client) -> None:
    effects = journal(client.broker)
    assert client.do("XCFGSET s IDMP-MAXSIZE 7 MAXLEN 10 IDMP-DURATION 60") == b"+OK\r\n"
    assert client.do("XCFGSET s IDMP-MAXSIZE 8") == b"+OK\r\n"
    assert lines(effects) == [
        "HSET ~policy:{s}:s maxlen 10",
        "XCFGSET s IDMP-DURATION 60 IDMP-MAXSIZE 7",
        "XCFGSET s IDMP-MAXSIZE 8",
    ]
    assert client.do("CONFIG SET replication-compat 7.0") == b"+OK\r\n"
    effects.clear()
    assert client.do("XCFGSET s IDMP-MAXSIZE 9 MAXLEN 11") == b"+OK\r\n"
    assert lines(effects) == ["HSET ~policy:{s}:s maxlen 11"]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("XCFGSET s MAXLEN", SYNTAX),
        ("XCFGSET s MAXLEN 1 NONE", SYNTAX),
        ("XCFGSET s MAXLEN -1", b"-ERR MAXLEN must be zero or a positive integer\r\n"),
        ("XCFGSET s MAXLEN x", b"-ERR value is not an integer or out of range\r\n"),
        ("XCFGSET s MAXAGE -1", b"-ERR MAXAGE must be zero or a positive number of milliseconds\r\n"),
        ("XCFGSET s MAXBYTES -1", b"-ERR MAXBYTES must be zero or a positive number of bytes\r\n"),
        ("XCFGSET s RETAIN all", SYNTAX),
        ("XCFGSET s DISCARD LIMITS", SYNTAX),
        ("XCFGSET s MAXLEN 1 IDMP-DURATION 0", b"-ERR IDMP-DURATION must be between 1 and 86400 seconds\r\n"),
        ("XCFGSET none MAXLEN 1 IDMP-DURATION 1", b"-ERR no such key\r\n"),
        ("XCFGSET none IDMP-DURATION 1", b"-ERR no such key\r\n"),
        ("XCFGSET text MAXLEN 1", b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
    ],
)
async def test_errors(client: Client, command: str, error: bytes) -> None:
    effects = journal(client.broker)
    assert client.do(command) == error
    assert effects == []
    assert client.do("EXISTS ~policy:{s}:s ~policy:{none}:none") == b":0\r\n"


async def test_something_else_where_policies_are_stored(client: Client) -> None:
    client.do("SET ~policy:{s}:s x")
    assert client.do("XCFGSET s MAXLEN 1").startswith(b"-WRONGTYPE")


async def test_the_number_of_policies_is_limited(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(client.broker.policies), "count", lambda self: 10_000)
    full = b"-ERR there are 10000 groups and streams with policies already\r\n"
    assert client.do("XCFGSET s MAXLEN 1") == full


async def test_without_extensions() -> None:
    client = Client(make_broker())
    client.do("XADD s 1-1 a 1")
    assert client.do("XCFGSET s MAXLEN 1") == SYNTAX
    assert b"MAXLEN" not in client.do("COMMAND DOCS xcfgset")
    assert b"max-len" not in client.do("XINFO STREAM s")


async def test_the_table_with_extensions(client: Client) -> None:
    assert b"MAXBYTES" in client.do("COMMAND DOCS xcfgset")
