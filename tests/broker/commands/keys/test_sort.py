"""SORT and SORT_RO."""

import pytest

from broker.commands.keys.sort import Pattern
from broker.values.list import List
from tests.broker.direct import Client, bulks
from tests.broker.sessions import make_broker


@pytest.fixture
def client() -> Client:
    client = Client(make_broker())
    for command in ("RPUSH l 3 10 1 2", "SADD s 3 10 1", "ZADD z 3 a 2 b 1 c", "SET w_1 30", "SET w_2 20", "SET w_3 5",
                    "HSET h_1 f x", "HSET h_2 f y", "SET str x"):  # fmt: skip
        assert not client.do(command).startswith(b"-")
    return client


@pytest.mark.parametrize(
    ("command", "elements"),
    [
        ("SORT l", "1 2 3 10"),
        ("SORT l DESC", "10 3 2 1"),
        ("SORT l ALPHA", "1 10 2 3"),
        ("SORT_RO s", "1 3 10"),
        ("SORT z ALPHA", "a b c"),
        ("SORT l LIMIT 1 2", "2 3"),
        ("SORT l LIMIT -5 1", "1"),
        ("SORT l LIMIT 3 -1", "10"),
        ("SORT l LIMIT 4 9", ""),
        ("SORT l LIMIT 0 0", ""),
        ("SORT no", ""),
        ("SORT l BY nosort", "3 10 1 2"),
        ("SORT l BY nosort DESC LIMIT 0 3", "2 1 10"),
        ("SORT z BY nosort", "c b a"),
        ("SORT z BY nosort DESC LIMIT 1 1", "b"),
        ("SORT l BY w_*", "10 3 2 1"),
        ("SORT l BY w_* GET w_* LIMIT 1 3", "5 20 30"),
        ("SORT l BY h_*->f ALPHA", "3 10 1 2"),
    ],
)
def test_elements(client: Client, command: str, elements: str) -> None:
    assert client.do(command) == bulks(*elements.split())


def test_missing_values_are_nulls_and_stored_as_empty_strings(client: Client) -> None:
    assert client.do("SORT l LIMIT 0 2 GET # GET h_*->f GET l_* GET fixed") == (
        b"*8\r\n$1\r\n1\r\n$1\r\nx\r\n$-1\r\n$-1\r\n$1\r\n2\r\n$1\r\ny\r\n$-1\r\n$-1\r\n"
    )
    assert client.do("SORT l LIMIT 0 2 GET h_*->f GET l_* STORE d") == b":4\r\n"
    assert client.session.db.data[b"d"] == List([b"x", b"", b"y", b""])


def test_store_replaces_and_an_empty_result_deletes(client: Client) -> None:
    client.session.db.expire_at(b"str", 1 << 60)
    assert client.do("SORT l STORE str") == b":4\r\n"
    assert client.session.db.data[b"str"] == List([b"1", b"2", b"3", b"10"])
    assert client.session.db.deadline(b"str") is None
    assert client.do("SORT no STORE str") == b":0\r\n"
    assert b"str" not in client.session.db.data


def test_a_set_is_stored_in_order(client: Client) -> None:
    client.do("SORT s BY nosort STORE d")
    assert client.session.db.data[b"d"] == List([b"1", b"10", b"3"])


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("SORT z", b"-ERR One or more scores can't be converted into double\r\n"),
        ("SORT l BY h_*->f", b"-ERR One or more scores can't be converted into double\r\n"),
        ("SORT str", b"-WRONGTYPE "),
        ("SORT str FOO", b"-ERR syntax error\r\n"),
        ("SORT l LIMIT 1", b"-ERR syntax error\r\n"),
        ("SORT l LIMIT 1 x", b"-ERR value is not an integer or out of range\r\n"),
        ("SORT l BY", b"-ERR syntax error\r\n"),
        ("SORT_RO l STORE d", b"-ERR syntax error\r\n"),
        ("SORT z STORE l", b"-ERR One or more scores can't be converted into double\r\n"),
    ],
)
def test_errors_change_nothing(client: Client, command: str, error: bytes) -> None:
    assert client.do(command).startswith(error)
    assert client.session.db.data[b"l"] == List([b"3", b"10", b"1", b"2"])


def test_equal_weights_follow_the_elements_bytes(client: Client) -> None:
    client.do("RPUSH e 1.0 01 1")
    assert client.do("SORT e") == bulks("01", "1", "1.0")
    assert client.do("SORT e DESC") == bulks("1.0", "1", "01")


@pytest.mark.parametrize(
    ("text", "prefix", "suffix", "field"),
    [
        (b"a*b", b"a", b"b", None),
        (b"a*b*c", b"a", b"b*c", None),
        (b"*->f", b"", b"", b"f"),
        (b"a*b->f->g", b"a", b"b", b"f->g"),
        (b"a*b->", b"a", b"b->", None),
        (b"->*", b"->", b"", None),
        (b"a*\x00->f", b"a", b"\x00->f", None),
    ],
)
def test_patterns(text: bytes, prefix: bytes, suffix: bytes, field: bytes | None) -> None:
    pattern = Pattern(text)
    assert (pattern.prefix, pattern.suffix, pattern.field) == (prefix, suffix, field)
    assert not pattern.leads_nowhere


@pytest.mark.parametrize("text", [b"", b"#", b"abc", b"a->b", b"a\x00*"])
def test_patterns_that_lead_nowhere(text: bytes) -> None:
    assert Pattern(text).leads_nowhere
    assert Pattern(text).itself == (text == b"#")


@pytest.mark.parametrize(
    ("arguments", "positions"),
    [
        ("SORT k", [1]),
        ("SORT k STORE d", [1, 3]),
        ("SORT k BY STORE x STORE d", [1, 6]),
        ("SORT k STORE a GET store STORE b", [1, 7]),
        ("SORT k LIMIT 0 STORE d", [1]),
        ("SORT k STORE", [1]),
        ("SORT k STORE store", [1, 3]),
    ],
)
def test_keys_are_found(client: Client, arguments: str, positions: list[int]) -> None:
    words = arguments.encode().split()
    assert client.broker.commands.by_name[b"sort"].key_positions(words) == positions
    assert client.broker.commands.by_name[b"sort_ro"].key_positions(words) == [1]
