"""The compiled parser does what the pure one does, whatever arrives in whatever pieces."""

import itertools
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.requests import ProtocolError, RequestParser

compiled = pytest.importorskip("protocol._requests", reason="the compiled parser was not built")

ARGUMENT = st.one_of(st.binary(max_size=12), st.sampled_from([b"x" * 99, b"\r\n", b"x" * 1000, b"$1\r\n"]))
REQUEST = st.lists(ARGUMENT, max_size=13).map(
    lambda args: b"*%d\r\n" % len(args) + b"".join(b"$%d\r\n%b\r\n" % (len(arg), arg) for arg in args)
)
NOISE = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        [b"*", b"$", b"\r\n", b"\n", b"*1\r\n", b"*-1\r\n", b"$0\r\n\r\n", b"PING x\r\n", b'"', b"0", b"-", b"12"]
    ),
    st.integers(-(2**65), 2**65).map(lambda n: b"*%d\r\n" % n),
    st.integers(-(2**65), 2**65).map(lambda n: b"*1\r\n$%d\r\n" % n),
)
STREAM = st.lists(st.one_of(REQUEST, NOISE), max_size=8).map(b"".join)
LIMITS = st.fixed_dictionaries(
    {
        "max_args": st.sampled_from([3, 12, 1 << 20]),
        "max_bulk": st.sampled_from([5, 998, 1 << 29]),
        "max_inline": st.sampled_from([0, 6, 1 << 16]),
        "authenticated": st.booleans(),
    }
)

Outcome = tuple[list[list[bytes]], bytes | None, int]


def outcome(parser: RequestParser, data: bytes) -> Outcome:
    try:
        return parser.feed(data), None, parser.buffered
    except ProtocolError as error:
        return error.requests, error.text, parser.buffered


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


@settings(max_examples=600, deadline=None)
@given(STREAM, st.lists(st.integers(0, 5000), max_size=6), LIMITS)
def test_same_outcome_piece_by_piece(data: bytes, cuts: list[int], limits: dict[str, int]) -> None:
    pure = RequestParser(**limits)  # type: ignore[arg-type]
    twin = compiled.RequestParser(**limits)
    for piece in pieces(data, cuts):
        expected = outcome(pure, piece)
        assert outcome(twin, piece) == expected
        if expected[1] is not None:
            pure.authenticated = twin.authenticated = True
            pure.max_args = twin.max_args = 1 << 20
            assert outcome(twin, b"") == outcome(pure, b"")
            break


@settings(max_examples=300, deadline=None)
@given(STREAM, st.lists(st.integers(0, 5000), max_size=6), LIMITS)
def test_the_pieces_make_no_difference(data: bytes, cuts: list[int], limits: dict[str, int]) -> None:
    whole = outcome(RequestParser(**limits), data)  # type: ignore[arg-type]
    for parser in (RequestParser(**limits), compiled.RequestParser(**limits)):  # type: ignore[arg-type]
        requests: list[list[bytes]] = []
        text = None
        for piece in pieces(data, cuts):
            more, text, _ = outcome(parser, piece)
            requests += more
            if text is not None:
                break
        assert (requests, text) == whole[:2]
        if text is None:
            assert parser.buffered == whole[2]


def test_short_arguments_are_kept_once() -> None:
    parser = compiled.RequestParser()
    request = b"*5\r\n$4\r\nHSET\r\n$3\r\nkey\r\n$2\r\nf1\r\n$15\r\n%b\r\n$16\r\n%b\r\n" % (b"x" * 15, b"y" * 16)
    (first,), (second,) = parser.feed(request), compiled.RequestParser().feed(request)
    assert first == second
    assert [one is other for one, other in zip(first, second, strict=True)] == [True, False, True, True, False]


def test_different_short_arguments_are_never_taken_for_each_other() -> None:
    parser = compiled.RequestParser()
    words = [b"%d" % n for n in range(20_000)] + [b"a" * n + b"\0" * m for n in range(16) for m in range(16 - n)]
    for _ in range(2):
        for word in words:
            assert parser.feed(b"*1\r\n$%d\r\n%b\r\n" % (len(word), word)) == [[word]]


def test_arguments_not_seen_for_long_are_let_go() -> None:
    parser = compiled.RequestParser()
    (kept,) = parser.feed(b"*1\r\n$5\r\nfirst\r\n")[0]
    held = sys.getrefcount(kept)
    for n in range(100_000):
        parser.feed(b"*1\r\n$6\r\n%06d\r\n" % n)
    assert sys.getrefcount(kept) == held - 1
