"""The request parser, pure and compiled: requests, errors, limits, and its place in incomplete input."""

import tracemalloc
from collections.abc import Iterable

import pytest

from protocol import requests as texts
from protocol.requests import ProtocolError, RequestParser

Requests = list[list[bytes]]


def encode(*args: bytes) -> bytes:
    return b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args)


def feed_all(parser: RequestParser, pieces: Iterable[bytes]) -> tuple[Requests, bytes | None]:
    """The requests of all pieces up to the first error, and that error's text."""
    requests: Requests = []
    for piece in pieces:
        try:
            requests += parser.feed(piece)
        except ProtocolError as error:
            return requests + error.requests, error.text
    return requests, None


def bytewise(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


VALID: list[tuple[bytes, Requests]] = [
    (encode(b"PING"), [[b"PING"]]),
    (encode(b"SET", b"key", b"value"), [[b"SET", b"key", b"value"]]),
    (encode(b"SET", b"k", b""), [[b"SET", b"k", b""]]),
    (encode(b"", b""), [[b"", b""]]),
    (encode(b"SET", b"k", b"a\r\nb\r\n$3\r\n*1\r\n"), [[b"SET", b"k", b"a\r\nb\r\n$3\r\n*1\r\n"]]),
    (encode(b"SET", b"k", bytes(range(256))), [[b"SET", b"k", bytes(range(256))]]),
    (encode(b"SET", b"k", b"x" * 1000), [[b"SET", b"k", b"x" * 1000]]),
    (encode(b"A", b"x" * 9, b"x" * 10, b"x" * 99, b"x" * 100, b"x" * 999), [
        [b"A", b"x" * 9, b"x" * 10, b"x" * 99, b"x" * 100, b"x" * 999]
    ]),
    (encode(*[b"%d" % n for n in range(10)]), [[b"%d" % n for n in range(10)]]),
    (encode(*[b"%d" % n for n in range(120)]), [[b"%d" % n for n in range(120)]]),
    (encode(b"A") + encode(b"B", b"1") + encode(b"C"), [[b"A"], [b"B", b"1"], [b"C"]]),
    (b"*0\r\n" + encode(b"A"), [[b"A"]]),
    (b"*-1\r\n" + encode(b"A"), [[b"A"]]),
    (b"*-9223372036854775808\r\n" + encode(b"A"), [[b"A"]]),
    (encode(b"A") + b"*0\r\n*-7\r\n\r\n", [[b"A"]]),
    (b"PING\r\n", [[b"PING"]]),
    (b"PING\n", [[b"PING"]]),
    (b"\r\n\n  \t\r\nPING\r\n", [[b"PING"]]),
    (b"\r\r\nPING\r\n", [[b"PING"]]),
    (b"SET k \"a b\"\r\n" + encode(b"GET", b"k") + b"GET k\r\n", [
        [b"SET", b"k", b"a b"], [b"GET", b"k"], [b"GET", b"k"]
    ]),
    (b"$3\r\nfoo\r\n", [[b"$3"], [b"foo"]]),
    (b"P*\r\n", [[b"P*"]]),
]  # fmt: skip


@pytest.mark.parametrize(("data", "requests"), VALID)
def test_requests_whole_and_bytewise(parser_class: type[RequestParser], data: bytes, requests: Requests) -> None:
    parser = parser_class()
    assert feed_all(parser, [data]) == (requests, None)
    assert parser.buffered == 0
    assert feed_all(parser, bytewise(data)) == (requests, None)
    assert parser.buffered == 0


@pytest.mark.parametrize(("data", "requests"), VALID)
def test_requests_split_at_every_point(parser_class: type[RequestParser], data: bytes, requests: Requests) -> None:
    parser = parser_class()
    for cut in range(len(data) + 1):
        assert feed_all(parser, [data[:cut], data[cut:]]) == (requests, None)
        assert parser.buffered == 0


@pytest.mark.parametrize(("data", "requests"), VALID)
def test_requests_with_trailing_bytes(parser_class: type[RequestParser], data: bytes, requests: Requests) -> None:
    for trailing in (b"*", b"*1\r", b"*2\r\n", b"*2\r\n$3", b"*2\r\n$3\r\nSET\r\n$1", b"*1\r\n$4\r\nPI", b"PIN"):
        parser = parser_class()
        assert feed_all(parser, [data + trailing]) == (requests, None)
        assert parser.buffered == len(trailing)


def test_buffered_counts_the_incomplete_request_only(parser_class: type[RequestParser]) -> None:
    parser = parser_class()
    data = encode(b"SET", b"key", b"x" * 2000)
    for sent, piece in enumerate(bytewise(data)[:-1], start=1):
        assert parser.feed(piece) == []
        assert parser.buffered == sent
    assert parser.feed(data[-1:] + b"*1") == [[b"SET", b"key", b"x" * 2000]]
    assert parser.buffered == 2


ERRORS: list[tuple[bytes, bytes]] = [
    (b"*\r\n", texts.INVALID_MULTIBULK),
    (b"*x\r\n", texts.INVALID_MULTIBULK),
    (b"*01\r\n", texts.INVALID_MULTIBULK),
    (b"*+1\r\n", texts.INVALID_MULTIBULK),
    (b"* 1\r\n", texts.INVALID_MULTIBULK),
    (b"*1 \r\n", texts.INVALID_MULTIBULK),
    (b"*-0\r\n", texts.INVALID_MULTIBULK),
    (b"*1_0\r\n", texts.INVALID_MULTIBULK),
    (b"*1\n", texts.INVALID_MULTIBULK),
    (b"*\n", texts.INVALID_MULTIBULK),
    (b"*1\r\r\n", texts.INVALID_MULTIBULK),
    (b"*1\0\r\n", texts.INVALID_MULTIBULK),
    (b"*1048577\r\n", texts.INVALID_MULTIBULK),
    (b"*2147483648\r\n", texts.INVALID_MULTIBULK),
    (b"*9223372036854775808\r\n", texts.INVALID_MULTIBULK),
    (b"*-9223372036854775809\r\n", texts.INVALID_MULTIBULK),
    (b"*" + b"9" * 1000 + b"\r\n", texts.INVALID_MULTIBULK),
    (b"*1\r\n$\r\n", texts.INVALID_BULK),
    (b"*1\r\n$-1\r\n", texts.INVALID_BULK),
    (b"*1\r\n$-9223372036854775808\r\n", texts.INVALID_BULK),
    (b"*1\r\n$03\r\n", texts.INVALID_BULK),
    (b"*1\r\n$3\n", texts.INVALID_BULK),
    (b"*1\r\n$\n", texts.INVALID_BULK),
    (b"*1\r\n$3x\r\n", texts.INVALID_BULK),
    (b"*1\r\n$536870913\r\n", texts.INVALID_BULK),
    (b"*1\r\n$9223372036854775807\r\n", texts.INVALID_BULK),
    (b"*1\r\n$18446744073709551617\r\n", texts.INVALID_BULK),
    (b"*1\r\n:5\r\n", b"ERR Protocol error: expected '$', got ':'"),
    (b"*1\r\n*1\r\n", b"ERR Protocol error: expected '$', got '*'"),
    (b"*1\r\n+OK\r\n", b"ERR Protocol error: expected '$', got '+'"),
    (b"*1\r\n_\r\n", b"ERR Protocol error: expected '$', got '_'"),
    (b"*1\r\n\xff\r\n", b"ERR Protocol error: expected '$', got '\xff'"),
    (b"*1\r\n\0\r\n", b"ERR Protocol error: expected '$', got '\0'"),
    (b"*1\r\n\r\n", b"ERR Protocol error: expected '$', got '\r'"),
    (b"*1\r\n\n", b"ERR Protocol error: expected '$', got '\n'"),
    (b"*2\r\n$1\r\na\r\n%1\r\n", b"ERR Protocol error: expected '$', got '%'"),
    (b"*1\r\n$4\r\nPINGPONG", texts.EXPECTED_CRLF),
    (b"*1\r\n$4\r\nPING\n\n", texts.EXPECTED_CRLF),
    (b"*1\r\n$4\r\nPING\r\r", texts.EXPECTED_CRLF),
    (b"*2\r\n$4\r\nPINGxx$1\r\na\r\n", texts.EXPECTED_CRLF),
    (b"*1\r\n$0\r\nab", texts.EXPECTED_CRLF),
    (b"*1\r\n$2000\r\n" + b"x" * 2002, texts.EXPECTED_CRLF),
    (b'SET "k\r\n', texts.UNBALANCED_QUOTES),
    (b'SET "k"v\r\n', texts.UNBALANCED_QUOTES),
    (b"SET 'k\n", texts.UNBALANCED_QUOTES),
    (b"x" * 65537, texts.BIG_INLINE),
    (b"x" * 65537 + b"\n", texts.BIG_INLINE),
    (b"*" + b"1" * 65536, texts.BIG_MULTIBULK_LINE),
    (b"*1\r\n$" + b"1" * 65536, texts.BIG_BULK_LINE),
    (b"*1\r\n" + b"x" * 65537, texts.BIG_BULK_LINE),
]


@pytest.mark.parametrize(("data", "text"), ERRORS)
def test_errors(parser_class: type[RequestParser], data: bytes, text: bytes) -> None:
    before = encode(b"SET", b"k", b"v") + b"PING\r\n"
    expected = ([[b"SET", b"k", b"v"], [b"PING"]], text)
    assert feed_all(parser_class(), [data]) == ([], text)
    assert feed_all(parser_class(), [before + data]) == expected
    if len(data) < 2000:
        assert feed_all(parser_class(), bytewise(before + data)) == expected
        for cut in range(len(before + data)):
            whole = before + data
            assert feed_all(parser_class(), [whole[:cut], whole[cut:]]) == expected


def test_the_error_carries_the_requests_of_its_own_call_only(parser_class: type[RequestParser]) -> None:
    parser = parser_class()
    assert parser.feed(encode(b"A")) == [[b"A"]]
    with pytest.raises(ProtocolError) as caught:
        parser.feed(encode(b"B") + b"*x\r\n")
    assert caught.value.requests == [[b"B"]]
    with pytest.raises(ProtocolError) as caught:
        parser.feed(b"")
    assert caught.value.requests == []


def test_the_longest_line(parser_class: type[RequestParser]) -> None:
    line = b"x" * 65536
    for pieces in ([line + b"\n"], [line, b"\n"], [line[:9], line[9:] + b"\n"]):
        assert feed_all(parser_class(), pieces) == ([[line]], None)
    parser = parser_class(max_inline=4)
    assert feed_all(parser, bytewise(b"abcd\nabcde")) == ([[b"abcd"]], texts.BIG_INLINE)


def test_limits_are_inclusive_and_may_change(parser_class: type[RequestParser]) -> None:
    parser = parser_class(max_args=2, max_bulk=3)
    assert parser.feed(encode(b"A", b"abc")) == [[b"A", b"abc"]]
    with pytest.raises(ProtocolError) as caught:
        parser.feed(encode(b"A", b"B", b"C"))
    assert caught.value.text == texts.INVALID_MULTIBULK
    parser.max_args = 3
    assert parser.feed(b"") == [[b"A", b"B", b"C"]]
    with pytest.raises(ProtocolError) as caught:
        parser.feed(encode(b"A", b"abcd"))
    assert caught.value.text == texts.INVALID_BULK
    assert parser.buffered == len(encode(b"A", b"abcd"))
    parser.max_bulk = 4
    assert parser.feed(b"") == [[b"A", b"abcd"]]
    assert parser.buffered == 0


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 50, 100, 1000])
@pytest.mark.parametrize("size", [1, 16384, 16385])
def test_strangers_have_tight_limits(parser_class: type[RequestParser], count: int, size: int) -> None:
    request = [b"x"] * count + [b"v" * size]
    data = encode(*request)
    expected: tuple[Requests, bytes | None]
    if count + 1 > 10:
        expected = [], texts.UNAUTHENTICATED_MULTIBULK
    elif size > 16384:
        expected = [], texts.UNAUTHENTICATED_BULK
    else:
        expected = [request], None
    parser = parser_class(authenticated=False)
    assert feed_all(parser, [data]) == expected
    if expected[1] is not None:
        parser.authenticated = True
        assert parser.feed(b"") == [request]


def test_the_general_limits_come_before_those_of_strangers(parser_class: type[RequestParser]) -> None:
    for data, text in (
        (b"*1048577\r\n", texts.INVALID_MULTIBULK),
        (b"*1\r\n$536870913\r\n", texts.INVALID_BULK),
    ):
        assert feed_all(parser_class(authenticated=False), [data]) == ([], text)


def test_authentication_in_the_same_pipeline(parser_class: type[RequestParser]) -> None:
    big = [b"SET", b"k", b"x" * 20_000]
    data = encode(b"AUTH", b"secret") + encode(*big) + encode(b"PING")
    for pieces in ([data], [data[:40], data[40:]], bytewise(data)):
        parser = parser_class(authenticated=False)
        requests: Requests = []
        for piece in pieces:
            try:
                requests += parser.feed(piece)
            except ProtocolError as error:
                assert error.text == texts.UNAUTHENTICATED_BULK
                requests += error.requests
                assert requests == [[b"AUTH", b"secret"]]
                parser.authenticated = True
                requests += parser.feed(b"")
        assert requests == [[b"AUTH", b"secret"], big, [b"PING"]]


@pytest.mark.parametrize("header", [b"*1\r\n$536870912\r\n", b"*1048576\r\n"])
def test_a_header_allocates_nothing_for_what_it_announces(parser_class: type[RequestParser], header: bytes) -> None:
    parser = parser_class()
    tracemalloc.start()
    try:
        parser.feed(header)
        parser.feed(header[:0])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000


def test_memory_follows_what_was_received(parser_class: type[RequestParser]) -> None:
    """Also for a bulk in pieces of two bytes, each of which costs 35 bytes as an object."""
    parser = parser_class()
    size = 400_000
    tracemalloc.start()
    try:
        parser.feed(b"*1\r\n$%d\r\n" % (2 * size))
        for _ in range(size // 2):
            parser.feed(b"xy")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size <= held < 1.5 * size
    assert parser.buffered == size + len(b"*1\r\n$800000\r\n")


def test_a_large_bulk_in_pieces(parser_class: type[RequestParser]) -> None:
    value = bytes(range(256)) * 4096 * 8
    data = encode(b"SET", b"k", value) + encode(b"PING")
    parser = parser_class()
    pieces = [data[i : i + 65_536] for i in range(0, len(data), 65_536)]
    assert feed_all(parser, pieces) == ([[b"SET", b"k", value], [b"PING"]], None)


def test_many_arguments(parser_class: type[RequestParser]) -> None:
    args = [b"%d" % n for n in range(200_000)]
    data = encode(*args)
    pieces = [data[i : i + 65_536] for i in range(0, len(data), 65_536)]
    assert feed_all(parser_class(), pieces) == ([args], None)
