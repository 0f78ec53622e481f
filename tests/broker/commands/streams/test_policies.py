"""XGROUP CFGSET and CFGGET: replies, errors and effects."""

import pytest

from tests.broker.direct import Client
from tests.broker.effects import journal, lines
from tests.broker.sessions import make_broker
from tests.oracle.wire import parse

BAD_ACKWAIT = b"-ERR ACKWAIT must be zero or a positive number of milliseconds, at most 1099511627776\r\n"
BAD_WAIT = b"-ERR the waits of BACKOFF must be positive numbers of milliseconds, at most 1099511627776\r\n"


@pytest.fixture
def client() -> Client:
    made = Client(make_broker(stream_extensions=True))
    for line in ("XADD s 1-1 a 1", "XGROUP CREATE s g 0", "SET text x"):
        assert not made.do(line).startswith(b"-")
    return made


def policy(client: Client) -> list[object]:
    """The values that CFGGET returns, in its order."""
    node = parse(client.do("XGROUP CFGGET s g"))
    assert [item.text for item in node.items[::2]] == [
        b"ack-wait", b"max-deliver", b"dead-letter", b"backoff", b"max-inflight", b"order-by",
    ]  # fmt: skip
    return [[int(wait.text) for wait in item.items] if item.kind == "*" else item.text for item in node.items[1::2]]


async def test_options_are_set_and_removed(client: Client) -> None:
    assert policy(client) == [b"0", b"0", b"", [], b"0", b""]
    effects = journal(client.broker)
    assert client.do("XGROUP CFGSET s g backoff 3 10 20 30 DEADLETTER dlq") == b"+OK\r\n"
    assert policy(client) == [b"30000", b"0", b"dlq", [10, 20, 30], b"0", b""]
    assert client.do("XGROUP CFGSET s g ACKWAIT 5 MAXDELIVER 7 BACKOFF 0") == b"+OK\r\n"
    assert policy(client) == [b"5", b"7", b"dlq", [], b"0", b""]
    assert client.do('XGROUP CFGSET s g DEADLETTER "" ACKWAIT 0') == b"+OK\r\n"
    assert policy(client) == [b"30000", b"7", b"", [], b"0", b""]
    assert client.do("XGROUP CFGSET s g MAXDELIVER 0") == b"+OK\r\n"
    assert policy(client) == [b"30000", b"0", b"", [], b"0", b""]
    assert client.do("XGROUP CFGSET s g ACKWAIT 0") == b"+OK\r\n"
    assert client.do("EXISTS ~policy:{s}:s") == b":0\r\n"
    assert not client.broker.policies.by_stream
    assert [line.replace("\0", "|") for line in lines(effects)] == [
        "HSET ~policy:{s}:s g|ackwait 30000 g|deadletter dlq g|backoff 10 20 30",
        "HSET ~policy:{s}:s g|ackwait 5 g|maxdeliver 7 g|deadletter dlq",
        "HDEL ~policy:{s}:s g|backoff",
        "HSET ~policy:{s}:s g|ackwait 30000 g|maxdeliver 7",
        "HDEL ~policy:{s}:s g|deadletter",
        "HSET ~policy:{s}:s g|ackwait 30000",
        "HDEL ~policy:{s}:s g|maxdeliver",
        "HDEL ~policy:{s}:s g|ackwait",
    ]


async def test_restrictions_are_set_and_removed(client: Client) -> None:
    effects = journal(client.broker)
    assert client.do("XGROUP CFGSET s g MAXINFLIGHT 7 ORDERBY 0") == b"+OK\r\n"
    assert policy(client) == [b"0", b"0", b"", [], b"7", b"0"]
    assert client.do('XGROUP CFGSET s g MAXINFLIGHT 0 DEADLETTER 0 ORDERBY ""') == b"+OK\r\n"
    assert policy(client) == [b"0", b"0", b"0", [], b"0", b""]
    assert [line.replace("\0", "|") for line in lines(effects)] == [
        "HSET ~policy:{s}:s g|maxinflight 7 g|orderby 0",
        "HSET ~policy:{s}:s g|deadletter 0",
        "HDEL ~policy:{s}:s g|maxinflight g|orderby",
    ]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("CFGSET s g", b"-ERR wrong number of arguments for 'xgroup|cfgset' command\r\n"),
        ("CFGSET s g ACKWAIT", b"-ERR wrong number of arguments for 'xgroup|cfgset' command\r\n"),
        ("CFGSET s g NONE 1", b"-ERR syntax error\r\n"),
        ("CFGSET s g ACKWAIT -1", BAD_ACKWAIT),
        ("CFGSET s g ACKWAIT 1099511627777", BAD_ACKWAIT),
        ("CFGSET s g ACKWAIT x", b"-ERR value is not an integer or out of range\r\n"),
        ("CFGSET s g MAXDELIVER -1", b"-ERR MAXDELIVER must be zero or a positive integer\r\n"),
        ("CFGSET s g MAXINFLIGHT -1", b"-ERR MAXINFLIGHT must be zero or a positive integer\r\n"),
        ("CFGSET s g MAXINFLIGHT x", b"-ERR value is not an integer or out of range\r\n"),
        ("CFGSET s g BACKOFF x 1", b"-ERR value is not an integer or out of range\r\n"),
        ("CFGSET s g BACKOFF 33 1", b"-ERR BACKOFF must have between 0 and 32 waits\r\n"),
        ("CFGSET s g BACKOFF 2 1", b"-ERR number of waits doesn't match BACKOFF\r\n"),
        ("CFGSET s g BACKOFF 2 1 0", BAD_WAIT),
        ("CFGSET s g BACKOFF 2 1 1099511627777", BAD_WAIT),
        ("CFGSET s g DEADLETTER s", b"-ERR DEADLETTER must be another key\r\n"),
        ("CFGSET s no ACKWAIT 1", b"-NOGROUP No such consumer group 'no' for key name 's'\r\n"),
        ("CFGGET s no", b"-NOGROUP No such consumer group 'no' for key name 's'\r\n"),
        ("CFGSET text g ACKWAIT 1", b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
        ("CFGSET none g ACKWAIT 1", b"-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you"
         b" may want to use the MKSTREAM option to create an empty stream automatically.\r\n"),
    ],
)  # fmt: skip
def test_errors(client: Client, command: str, error: bytes) -> None:
    effects = journal(client.broker)
    assert client.do(f"XGROUP {command}") == error
    assert effects == []
    assert client.do("EXISTS ~policy:{s}:s") == b":0\r\n"


def test_something_else_where_policies_are_stored(client: Client) -> None:
    client.do("SET ~policy:{s}:s x")
    assert client.do("XGROUP CFGSET s g ACKWAIT 1").startswith(b"-WRONGTYPE")
    assert policy(client) == [b"0", b"0", b"", [], b"0", b""]


def test_the_number_of_policies_is_limited(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(client.broker.policies), "count", lambda self: 10_000)
    assert (
        client.do("XGROUP CFGSET s g ACKWAIT 1") == b"-ERR there are 10000 groups and streams with policies already\r\n"
    )


def test_without_extensions() -> None:
    client = Client(make_broker())
    client.do("XGROUP CREATE s g 0 MKSTREAM")
    for line in ("XGROUP CFGSET s g ACKWAIT 1", "XGROUP CFGGET s g"):
        word = line.split()[1]
        assert client.do(line) == b"-ERR unknown subcommand '%b'. Try XGROUP HELP.\r\n" % word.encode()
    assert b"CFGSET" not in client.do("XGROUP HELP")
    assert client.do("COMMAND INFO xgroup|cfgset") == b"*1\r\n$-1\r\n"
    assert b"delay" not in client.do("COMMAND DOCS xnack").lower()
    assert b"xgroup|cfgset" not in client.do("ACL CAT stream")
    assert client.do("XNACK s g FAIL IDS 1 1-1 DELAY 1") == b"-ERR Unrecognized XNACK option 'DELAY'\r\n"


def test_the_table_with_extensions(client: Client) -> None:
    assert b"CFGSET <key> <group> [ACKWAIT <ms>]" in client.do("XGROUP HELP")
    assert b"DELAY" in client.do("COMMAND DOCS xnack")
    assert b"numwaits" in client.do("COMMAND DOCS xgroup|cfgset")


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ("ACKWAIT 1", ["s"]),
        ("ACKWAIT 1 DEADLETTER dlq", ["s", "dlq"]),
        ('DEADLETTER ""', ["s"]),
        ("BACKOFF 1 5 DEADLETTER dlq", ["s", "dlq"]),
        ("DEADLETTER a DEADLETTER b", ["s", "a", "b"]),
        ("MAXINFLIGHT 1 ORDERBY deadletter DEADLETTER dlq", ["s", "dlq"]),
    ],
)
def test_keys(client: Client, options: str, keys: list[str]) -> None:
    found = parse(client.do(f"COMMAND GETKEYS XGROUP CFGSET s g {options}"))
    assert [item.text.decode() for item in found.items] == keys


def test_dead_letters_need_a_permission(client: Client) -> None:
    client.do("ACL SETUSER eve on nopass ~s +@all")
    other = Client(client.broker)
    other.do("AUTH eve x")
    assert other.do("XGROUP CFGSET s g ACKWAIT 1") == b"+OK\r\n"
    assert other.do("XGROUP CFGSET s g DEADLETTER private").startswith(b"-NOPERM")
