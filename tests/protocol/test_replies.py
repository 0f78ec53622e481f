"""Values to RESP bytes, in both versions; what is encoded here is what the oracle's parser reads back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import replies
from protocol.replies import DIALECTS, RESP2, RESP3
from tests.oracle.wire import frame_end, parse


@pytest.mark.parametrize("size", [0, 1, 9, 10, 1023, 1024, 1025, 100_000])
def test_bulks_of_any_size(size: int) -> None:
    value = b"x" * size
    expected = b"$%d\r\n%b\r\n" % (size, value)
    assert replies.bulk(value) == replies.bulk(bytearray(value)) == expected
    assert replies.bulks([value, b"y"]) == b"*2\r\n" + expected + b"$1\r\ny\r\n"


@pytest.mark.parametrize("number", [0, 1, -1, 9_999, 10_000, -10_000, (1 << 63) - 1, -(1 << 63)])
def test_integers(number: int) -> None:
    assert replies.integer(number) == b":%d\r\n" % number
    assert replies.integers([number, 1]) == b"*2\r\n:%d\r\n:1\r\n" % number


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1_000_000])
def test_array_headers(count: int) -> None:
    assert replies.array_header(count) == b"*%d\r\n" % count


def test_arrays_nest() -> None:
    assert (
        replies.array([replies.integer(1), replies.array([]), replies.bulk(b"a")]) == b"*3\r\n:1\r\n*0\r\n$1\r\na\r\n"
    )


@pytest.mark.parametrize(
    "text, line",
    [
        (b"ERR a", b"-ERR a\r\n"),
        (b"ERR a\r\nb\nc\rd", b"-ERR a  b c d\r\n"),
        (b"ERR a\r\n+OK\r\n", b"-ERR a  +OK\r\n"),
        (b"\r", b"-\r\n"),
    ],
)
def test_an_error_is_one_line(text: bytes, line: bytes) -> None:
    assert replies.error(text) == line


def test_constants() -> None:
    assert (replies.OK, replies.ZERO, replies.ONE, replies.MINUS_ONE) == (b"+OK\r\n", b":0\r\n", b":1\r\n", b":-1\r\n")
    assert (replies.EMPTY_ARRAY, replies.EMPTY_BULK, replies.NO_REPLY) == (b"*0\r\n", b"$0\r\n\r\n", b"")
    assert (replies.PONG, replies.QUEUED, replies.simple(b"a")) == (b"+PONG\r\n", b"+QUEUED\r\n", b"+a\r\n")


def test_what_the_versions_encode_differently() -> None:
    pairs = [(replies.bulk(b"a"), replies.integer(1))]
    assert (RESP2.null, RESP2.null_array, RESP2.true, RESP2.false) == (b"$-1\r\n", b"*-1\r\n", b":1\r\n", b":0\r\n")
    assert (RESP3.null, RESP3.null_array, RESP3.true, RESP3.false) == (b"_\r\n", b"_\r\n", b"#t\r\n", b"#f\r\n")
    assert RESP2.map(pairs) == b"*2\r\n$1\r\na\r\n:1\r\n" and RESP3.map(pairs) == b"%1\r\n$1\r\na\r\n:1\r\n"
    assert RESP2.map([]) == b"*0\r\n" and RESP3.map([]) == b"%0\r\n"
    assert RESP2.bulk_map([(b"a", b"b")]) == b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"
    assert RESP3.bulk_map([(b"a", b"b")]) == b"%1\r\n$1\r\na\r\n$1\r\nb\r\n"
    assert (RESP2.set_header(2), RESP3.set_header(2)) == (b"*2\r\n", b"~2\r\n")
    assert (RESP2.push_header(3), RESP3.push_header(3)) == (b"*3\r\n", b">3\r\n")
    assert (RESP2.boolean(True), RESP3.boolean(False)) == (b":1\r\n", b"#f\r\n")
    assert (RESP2.verbatim(b"hi"), RESP3.verbatim(b"hi")) == (b"$2\r\nhi\r\n", b"=6\r\ntxt:hi\r\n")
    assert RESP3.verbatim(b"hi", b"mkd") == b"=6\r\nmkd:hi\r\n"
    assert (RESP2.big_number(b"12"), RESP3.big_number(b"12")) == (b"$2\r\n12\r\n", b"(12\r\n")


@pytest.mark.parametrize(
    "value, text",
    [(1.0, b"1"), (1.5, b"1.5"), (-0.0, b"-0"), (float("inf"), b"inf"), (float("-inf"), b"-inf"), (3.0e20, b"3e+20")],
)
def test_doubles(value: float, text: bytes) -> None:
    assert RESP3.double(value) == b"," + text + b"\r\n"
    assert RESP2.double(value) == replies.bulk(text)


@given(st.recursive(st.binary(max_size=20) | st.integers(-(1 << 63), (1 << 63) - 1), st.lists, max_leaves=20))
def test_what_is_encoded_is_one_frame(value: object) -> None:
    for resp in DIALECTS.values():
        encoded = _encode(value, resp)
        assert frame_end(encoded) == len(encoded)
        parse(encoded)


def _encode(value: object, resp: replies.Dialect) -> bytes:
    if isinstance(value, bytes):
        return replies.bulk(value)
    if isinstance(value, int):
        return replies.integer(value)
    assert isinstance(value, list)
    parts = [_encode(element, resp) for element in value]
    return resp.set_header(len(parts)) + b"".join(parts)
