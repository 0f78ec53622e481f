"""The compiled parser does what the pure one does, whatever arrives in whatever pieces."""

import itertools

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
