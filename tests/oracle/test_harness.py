"""The harness itself: framing, splitting, markers, and that a difference is found."""

from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.oracle.harness import (
    Each,
    Loose,
    Raw,
    Shape,
    Skip,
    Step,
    Unordered,
    agree,
    examples,
    pair,
    requires,
    same,
    stream_ids,
)
from tests.oracle.wire import Node, encode, frame_end, parse, split

FRAMES = [
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":-12\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"_\r\n",
    b"#t\r\n",
    b",3.25\r\n",
    b"(12345678901234567890\r\n",
    b"$0\r\n\r\n",
    b"$4\r\na\r\nb\r\n",
    b"=7\r\ntxt:abc\r\n",
    b"!5\r\nERR x\r\n",
    b"*0\r\n",
    b"*2\r\n*1\r\n:1\r\n$1\r\na\r\n",
    b"~2\r\n+a\r\n+b\r\n",
    b"%1\r\n+k\r\n*2\r\n:1\r\n:2\r\n",
    b">2\r\n+message\r\n$-1\r\n",
    b"|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n",
]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_frame_ends_where_it_ends(frame: bytes) -> None:
    assert frame_end(frame) == len(frame)
    assert frame_end(frame + b"+more\r\n") == len(frame)
    assert frame_end(b"+OK\r\n" + frame, 5) == 5 + len(frame)
    assert all(frame_end(frame[:cut]) == -1 for cut in range(len(frame)))


def test_an_unknown_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown reply type"):
        frame_end(b"PONG\r\n")


def test_parse_gives_types_and_texts() -> None:
    assert parse(b"%1\r\n+k\r\n*2\r\n:1\r\n$-1\r\n") == Node(
        "%", b"", (Node("+", b"k"), Node("*", b"", (Node(":", b"1"), Node("$", b"-1"))))
    )


def test_split_follows_redis_cli() -> None:
    assert split(r"""SET "a \x00\n\"" 'b \n\'' c""") == [b"SET", b'a \x00\n"', b"b \\n'", b"c"]
    assert split("  ") == []
    for wrong in ('"open', '"a"b'):
        with pytest.raises(ValueError, match="quote"):
            split(wrong)


def test_encode_takes_text_bytes_and_numbers() -> None:
    assert encode(["SET", b"\xff", 5]) == b"*3\r\n$3\r\nSET\r\n$1\r\n\xff\r\n$1\r\n5\r\n"


@pytest.mark.parametrize(
    ("step", "theirs", "ours", "agrees"),
    [
        (Step("GET k"), b"$1\r\na\r\n", b"$1\r\na\r\n", True),
        (Step("GET k"), b"$1\r\na\r\n", b"+a\r\n", False),
        (Loose("TTL k"), b":100\r\n", b":99\r\n", True),
        (Loose("TTL k"), b":100\r\n", b":90\r\n", False),
        (Loose("GET k"), b"$2\r\n10\r\n", b":10\r\n", False),
        (Loose("X"), b"*2\r\n:1\r\n+a\r\n", b"*2\r\n:2\r\n+a\r\n", True),
        (Loose("X"), b"*2\r\n:1\r\n+a\r\n", b"*2\r\n:2\r\n+b\r\n", False),
        (Shape("TIME"), b"*2\r\n:1\r\n:2\r\n", b"*2\r\n:3\r\n:4\r\n", True),
        (Shape("TIME"), b"*2\r\n:1\r\n:2\r\n", b"*1\r\n:3\r\n", False),
        (Unordered("SMEMBERS k"), b"*2\r\n+a\r\n+b\r\n", b"*2\r\n+b\r\n+a\r\n", True),
        (Unordered("SMEMBERS k"), b"*2\r\n+a\r\n+b\r\n", b"~2\r\n+b\r\n+a\r\n", False),
        (Unordered("SMEMBERS k"), b"*2\r\n+a\r\n+a\r\n", b"*2\r\n+b\r\n+a\r\n", False),
        (Unordered("H"), b"%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", b"%2\r\n+b\r\n:2\r\n+a\r\n:1\r\n", True),
        (Unordered("H"), b"%2\r\n+a\r\n:1\r\n+b\r\n:2\r\n", b"%2\r\n+b\r\n:1\r\n+a\r\n:2\r\n", False),
        (
            Unordered("H", pairs=True),
            b"*4\r\n+a\r\n:1\r\n+b\r\n:2\r\n",
            b"*4\r\n+b\r\n:2\r\n+a\r\n:1\r\n",
            True,
        ),
        (
            Unordered("H", pairs=True),
            b"*4\r\n+a\r\n:1\r\n+b\r\n:2\r\n",
            b"*4\r\n+b\r\n:1\r\n+a\r\n:2\r\n",
            False,
        ),
        (Skip("X"), b"+a\r\n", b"+b\r\n", True),
    ],
)
def test_what_each_marker_calls_the_same(step: Step, theirs: bytes, ours: bytes, agrees: bool) -> None:
    assert step.agrees(theirs, ours) is agrees


def test_stream_ids_are_masked() -> None:
    assert stream_ids(b"$15\r\n1700000000000-0\r\n") == b"$15\r\n<id>\r\n"


def test_scripts_and_markers_on_both_servers() -> None:
    same(
        [
            "PING",
            ["SET", "k", b"\x00\xff"],
            "GET k",
            "GET none",
            "SET k",
            'ECHO "a b"',
            Raw(b"PING inline\r\n"),
            "EXPIRE k 100",
            Loose("TTL k"),
        ]
    )


@pytest.mark.parametrize(
    "fails",
    [
        lambda: same([Each("ECHO a", "ECHO b")]),
        lambda: same([Each("SET k a", "SET k b")], state=True),
        lambda: same(["PING", Each("PING", "QUIT"), "PING"]),
    ],
)
def test_a_difference_is_a_failure(fails: Callable[[], None]) -> None:
    with pytest.raises(pytest.fail.Exception, match="theirs"):
        fails()


def test_several_clients_block_and_wake() -> None:
    with pair() as p:
        c1, c2, c3 = p.client(resp=3), p.client(), p.client()
        c1.send("BLPOP k 0")
        p.settle()
        c2.send("BLPOP k 0")
        p.settle()
        c1.nothing()
        assert c3.do("LPUSH k 1") == b":1\r\n"
        p.settle()
        assert c1.receive() == b"*2\r\n$1\r\nk\r\n$1\r\n1\r\n"
        c2.nothing()
        with pytest.raises(pytest.fail.Exception):
            c3.send(Each("ECHO a", "ECHO b"))
            c3.receive()


def test_pushes_are_drained() -> None:
    with pair() as p:
        c1, c2 = p.client(resp=3), p.client()
        c1.do("SUBSCRIBE a b")
        c2.do("PUBLISH a 1")
        c2.do("PUBLISH b 2")
        assert c1.drain().count(b"message") == 2
        c1.nothing()


@requires("7.4")
def test_state_of_every_type() -> None:
    same(
        [
            "SET s 1 EX 100",
            "RPUSH l a b",
            "HSET h f v g w",
            "HEXPIRE h 100 FIELDS 1 f",
            "SADD t a b c",
            "ZADD z 1 a 2 b",
            "XADD x 1-1 f v",
            "XGROUP CREATE x g 0",
            "XREADGROUP GROUP g c STREAMS x >",
            "SELECT 1",
            "SET other db",
        ],
        state=True,
    )


keys = st.sampled_from(["a", "b"])


@examples(15)
@given(
    st.lists(
        st.one_of(st.tuples(st.just("INCR"), keys), st.tuples(st.just("SET"), keys, st.integers())),
        max_size=8,
    )
)
def test_generated_scripts(script: list[tuple[str, ...]]) -> None:
    agree(script)
