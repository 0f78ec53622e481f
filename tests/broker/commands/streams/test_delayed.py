"""XADD with DELAY or AT, and XDEL of what it has not added yet: replies, errors and effects."""

import pytest

from tests.broker.direct import Client, bulk
from tests.broker.effects import journal
from tests.broker.sessions import make_broker
from tests.oracle.wire import parse

SET = "~delayed:{s}:s"


@pytest.fixture
def client() -> Client:
    return Client(make_broker(stream_extensions=True))


def now(client: Client) -> int:
    return client.broker.clock.now


def test_the_reply_is_a_handle(client: Client) -> None:
    client.broker.clock.now = 5000
    assert client.do("XADD s DELAY 100 * a 1") == bulk("@5100-1")
    assert client.do("xadd s at 6000 * a 1") == bulk("@6000-2")
    assert client.do("XADD s MAXLEN ~ 5 at 6000 NOMKSTREAM * a 1") == bulk("@6000-3")
    assert client.do("XADD s NOMKSTREAM MINID = 5 LIMIT 0 DELAY 7 * a 1").startswith(b"-ERR syntax error, LIMIT")
    assert client.do("XADD t DELAY 100 * a 1") == bulk("@5100-4")
    assert client.do(f"ZRANGE {SET} 0 -1 WITHSCORES").startswith(
        b"*6\r\n$13\r\n\0\0\0\0\0\0\0\1\x92\xa1a\xa11\r\n$4\r\n5100"
    )
    assert client.do("EXISTS s t") == b":0\r\n"


@pytest.mark.parametrize("time", ["DELAY 0", "AT 0", "AT {now}", "NOMKSTREAM DELAY 0 MAXLEN 1", "MAXLEN ~ 5 AT 1"])
def test_what_is_due_already_is_added(client: Client, time: str) -> None:
    client.do("XADD s 1-1 a 0")
    effects = journal(client.broker)
    options = time.format(now=now(client))
    id = parse(client.do(f"XADD s {options} * a 1")).text
    assert b"-" in id and not id.startswith(b"@")
    assert client.do(f"EXISTS {SET}") == b":0\r\n"
    [(_, words), *_] = effects
    assert words[0] == b"XADD" and id in words and not {b"DELAY", b"AT"} & {*words}
    assert client.do("XADD none NOMKSTREAM DELAY 0 * a 1") == b"$-1\r\n"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("DELAY -1 * a 1", "ERR DELAY must be zero or a positive number of milliseconds"),
        ("DELAY x * a 1", "ERR value is not an integer or out of range"),
        ("AT -1 * a 1", "ERR AT must be a Unix time in milliseconds"),
        ("AT 9007199254740992 * a 1", "ERR an entry can't be delayed for so long"),
        ("DELAY 9223372036854775807 * a 1", "ERR an entry can't be delayed for so long"),
        ("DELAY 5 1-1 a 1", "ERR DELAY and AT need the ID *"),
        ("DELAY 5 1-* a 1", "ERR DELAY and AT need the ID *"),
        ("DELAY 0 1-1 a 1", "ERR DELAY and AT need the ID *"),
        ("DELAY 5 IDMP p i * a 1", "ERR DELAY and AT need the ID *"),
        ("IDMPAUTO p AT 5 * a 1", "ERR DELAY and AT need the ID *"),
        ("DELAY 5 x a 1", "ERR Invalid stream ID specified as stream command argument"),
        ("DELAY 5 AT 5 * a 1", "ERR syntax error"),
        ("DELAY 5 MAXLEN 5 DELAY 5 * a 1", "ERR syntax error"),
        ("DELAY 5 * a", "ERR wrong number of arguments for 'xadd' command"),
        ("DELAY 5 * a 1 b", "ERR wrong number of arguments for 'xadd' command"),
        ("DELAY 5 MAXLEN 5 *", "ERR wrong number of arguments for 'xadd' command"),
        ("DELAY 5 *", "ERR wrong number of arguments for 'xadd' command"),
        ("MAXLEN 5 DELAY", "ERR syntax error"),
        ("DELAY 5 MAXLEN -1 * a 1", "ERR The MAXLEN argument must be >= 0."),
        ("DELAY 5 LIMIT 5 * a 1",
         "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"),
    ],
)  # fmt: skip
def test_errors(client: Client, words: str, error: str) -> None:
    effects = journal(client.broker)
    assert client.do(f"XADD s {words}") == f"-{error}\r\n".encode()
    assert effects == []
    assert client.do("DBSIZE") == b":0\r\n"


def test_words_that_are_values(client: Client) -> None:
    assert client.do("XADD s 1-1 DELAY 5") == bulk("1-1")
    assert client.do("XADD s MAXLEN = 5 2-1 AT DELAY") == bulk("2-1")
    assert client.do("XADD s IDMP DELAY AT 3-1 a 1").startswith(b"-ERR syntax error, IDMP")
    assert client.do("XADD s MAXLEN DELAY * a 1") == b"-ERR value is not an integer or out of range\r\n"
    assert client.do(f"EXISTS {SET}") == b":0\r\n"


def test_other_types(client: Client) -> None:
    client.do("SET s text")
    assert client.do("XADD s DELAY 5 * a 1").startswith(b"-WRONGTYPE")
    assert client.do("XDEL s @5-1").startswith(b"-WRONGTYPE")
    client.do("SET ~delayed:{t}:t text")
    assert client.do("XADD t DELAY 5 * a 1").startswith(b"-WRONGTYPE")
    assert client.do("XDEL t @5-1") == b":0\r\n"


def test_cancelling(client: Client) -> None:
    client.broker.clock.now = 5000
    for number in range(1, 6):
        client.do(f"XADD s AT {6000 + number % 2} * a {number}")
    client.do("XADD s 1-1 a 0")
    client.do("XADD s 2-1 a 0")
    effects = journal(client.broker)
    assert client.do("XDEL s @6000-2 1-1 @6001-1 @6001-2 @6000-9 @6000-2 7-7") == b":3\r\n"
    assert [words[:2] for _, words in effects] == [[b"XDEL", b"s"], [b"ZREM", SET.encode()]]
    assert effects[0][1][2:] == [b"1-1", b"7-7"] and len(effects[1][1]) == 4
    assert client.do(f"ZCARD {SET}") == b":3\r\n"
    assert client.do("XDEL s @6000-4 @6001-3 @6001-5") == b":3\r\n"
    assert client.do(f"EXISTS {SET}") == b":0\r\n"
    assert client.do("XDEL s @6000-4") == b":0\r\n"
    # A number is never given again, so an old handle can't cancel another entry.
    assert client.do("XADD s AT 6000 * a 1") == bulk("@6000-6")
    assert len(effects) == 4


@pytest.mark.parametrize("handle", ["@", "@5", "@5-", "@-5", "@5-x", "@5-+1", "@5- 1", "@" + "1" * 17 + "-1"])
def test_handles_that_are_none(client: Client, handle: str) -> None:
    client.do("XADD s 1-1 a 0")
    assert client.do([b"XDEL", b"s", b"1-1", handle.encode()]) == (b"-ERR Invalid handle of a delayed entry\r\n")
    assert client.do("XDEL s @5-1 x").startswith(b"-ERR Invalid stream ID")
    assert client.do("XLEN s") == b":1\r\n"


def test_the_limit(client: Client) -> None:
    client.do("CONFIG SET stream-delayed-max 2")
    for _ in range(2):
        client.do("XADD s DELAY 500 * a 1")
    assert client.do("XADD s DELAY 500 * a 1") == b"-ERR too many delayed entries\r\n"
    assert client.do("XADD t DELAY 500 * a 1").startswith(b"$")
    client.do("CONFIG SET stream-delayed-max 3")
    assert client.do("XADD s DELAY 500 * a 1").startswith(b"$")


def test_transactions_and_scripts(client: Client) -> None:
    client.broker.clock.now = 5000
    client.do("MULTI")
    client.do("XADD s DELAY 5 * a 1")
    client.do("XADD s DELAY 0 * a 1")
    assert client.do("EXEC") == b"*2\r\n" + bulk("@5005-1") + bulk("5000-0")
    reply = client.do([b"EVAL", b"return redis.call('XADD', KEYS[1], 'AT', 6000, '*', 'a', 1)", b"1", b"s"])
    assert reply == bulk("@6000-2")


def test_a_client_needs_permission_for_the_stream_only(client: Client) -> None:
    client.do("ACL SETUSER alice on nopass ~s +xadd +xdel")
    client.do("AUTH alice x")
    reply = client.do("XADD s AT 99999999999999 * a 1")
    assert reply == bulk("@99999999999999-1")
    assert client.do("XDEL s @99999999999999-1") == b":1\r\n"
    assert client.do("XADD t DELAY 5 * a 1").startswith(b"-NOPERM")


def test_memory_that_is_full_refuses_delayed_entries(client: Client) -> None:
    client.do("CONFIG SET maxmemory 1")
    assert client.do("XADD s DELAY 500 * a 1").startswith(b"-OOM")


def test_what_xinfo_shows(client: Client) -> None:
    client.do("XADD s 1-1 a 1")
    plain = client.do("XINFO STREAM s")
    assert b"delayed" not in plain
    client.do("XADD s AT 99999999999999 * a 1")
    client.do("XADD s AT 99999999999998 * a 1")
    for form in ("XINFO STREAM s", "XINFO STREAM s FULL"):
        assert client.do(form).endswith(b"$7\r\ndelayed\r\n:2\r\n$11\r\nnext-due-ms\r\n:99999999999998\r\n")
    client.do(f"ZADD {SET} +inf x")
    client.do("XDEL s @99999999999998-2 @99999999999999-1")
    assert client.do("XINFO STREAM s").endswith(b"$7\r\ndelayed\r\n:1\r\n$11\r\nnext-due-ms\r\n$-1\r\n")


def test_the_command_table(client: Client) -> None:
    assert b"DELAY" in client.do("COMMAND DOCS XADD")
    assert client.do("COMMAND GETKEYS XADD s DELAY 5 * a 1") == b"*1\r\n$1\r\ns\r\n"
    plain = Client(make_broker())
    assert b"DELAY" not in plain.do("COMMAND DOCS XADD")
    assert plain.do("XADD s DELAY 5 * a 1").startswith(b"-ERR Invalid stream ID")
    assert client.do("COMMAND INFO XADD XDEL") == plain.do("COMMAND INFO XADD XDEL")
