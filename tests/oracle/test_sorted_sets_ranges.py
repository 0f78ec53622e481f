"""Ranges of sorted sets against redis-server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, agree, examples, same

_FILL = "ZADD z 1 a 2 b 2 bb 3 c 4.5 d -inf low inf high"
_LEX = "ZADD l 0 a 0 b 0 bb 0 c 0 d 0 B"


_MOST = "9223372036854775807"
_LEAST = "-9223372036854775808"


@pytest.mark.parametrize("stop", ["-1", "0", "2", "-3", "-7", "-8", "-100", "100", "x", "1.5", _MOST, _LEAST])
@pytest.mark.parametrize("start", ["0", "1", "-2", "-100", "6", "7", "100", "x", "9223372036854775808", _MOST, _LEAST])
def test_by_rank(start: str, stop: str) -> None:
    bounds = f"{start} {stop}"
    same(
        [
            _FILL,
            f"ZRANGE z {bounds}",
            f"ZRANGE z {bounds} WITHSCORES",
            f"ZRANGE z {bounds} REV",
            f"ZRANGE z {bounds} rev withscores",
            f"ZREVRANGE z {bounds}",
            f"ZREVRANGE z {bounds} WITHSCORES",
            f"ZRANGE none {bounds}",
            f"ZRANGESTORE d z {bounds}",
            "ZRANGE d 0 -1 WITHSCORES",
            f"ZRANGESTORE d z {bounds} REV",
            f"ZREMRANGEBYRANK z {bounds}",
            "ZRANGE z 0 -1",
            f"ZREMRANGEBYRANK none {bounds}",
        ],
        resp=(3,),
        state=True,
    )


@pytest.mark.parametrize("high", ["+inf", "inf", "(inf", "2", "(2", "(4.5", "0x3", "-inf", "1e400", "x"])
@pytest.mark.parametrize("low", ["-inf", "(-inf", "2", "(2", "-1e400", "", "(", " 1", "1 ", "nan", "((1", "+5"])
def test_by_score(low: str, high: str) -> None:
    up: list[str] = [low, high]
    down: list[str] = [high, low]
    same(
        [
            _FILL,
            ["ZRANGEBYSCORE", "z", *up],
            ["ZRANGEBYSCORE", "z", *up, "WITHSCORES"],
            ["ZREVRANGEBYSCORE", "z", *down],
            ["ZREVRANGEBYSCORE", "z", *down, "WITHSCORES", "LIMIT", "1", "2"],
            ["ZRANGE", "z", *up, "BYSCORE"],
            ["ZRANGE", "z", *down, "BYSCORE", "REV", "WITHSCORES"],
            ["ZCOUNT", "z", *up],
            ["ZCOUNT", "z", *down],
            ["ZRANGEBYSCORE", "none", *up],
            ["ZCOUNT", "none", *up],
            ["ZRANGESTORE", "d", "z", *up, "BYSCORE", "LIMIT", "0", "2"],
            "ZRANGE d 0 -1 WITHSCORES",
            ["ZREMRANGEBYSCORE", "z", *up],
            "ZRANGE z 0 -1",
            ["ZREMRANGEBYSCORE", "none", *up],
        ],
        resp=(3,),
        state=True,
    )


@pytest.mark.parametrize("high", ["+", "[bb", "(bb", "[", "-", "(zz", "x"])
@pytest.mark.parametrize("low", ["-", "[b", "(b", "[", "(", "+", "[zz", "x", "", "-x", "+\x00"])
def test_by_member(low: str, high: str) -> None:
    same(
        [
            _LEX,
            ["ZRANGEBYLEX", "l", low, high],
            ["ZRANGEBYLEX", "l", low, high, "LIMIT", "1", "2"],
            ["ZREVRANGEBYLEX", "l", high, low],
            ["ZREVRANGEBYLEX", "l", high, low, "LIMIT", "1", "-1"],
            ["ZRANGE", "l", low, high, "BYLEX"],
            ["ZRANGE", "l", high, low, "BYLEX", "REV"],
            ["ZRANGE", "l", low, high, "BYLEX", "WITHSCORES"],
            ["ZLEXCOUNT", "l", low, high],
            ["ZLEXCOUNT", "none", low, high],
            ["ZRANGESTORE", "d", "l", low, high, "BYLEX"],
            "ZRANGE d 0 -1",
            ["ZREMRANGEBYLEX", "l", low, high],
            "ZRANGE l 0 -1",
            ["ZREMRANGEBYLEX", "none", low, high],
        ],
        resp=(3,),
        state=True,
    )


def test_bounds_with_a_nul() -> None:
    same(
        [
            _FILL,
            ["ZRANGEBYSCORE", "z", b"1\x00junk", b"(3\x00"],
            ["ZRANGEBYSCORE", "z", b"\x00", b"2"],
            ["ZADD", "z", b"1\x00", "m"],
            _LEX,
            ["ZRANGEBYLEX", "l", b"-\x00x", b"+\x00x"],
        ]
    )


@pytest.mark.parametrize("count", ["0", "1", "2", "-1", "-2", "100", "x"])
@pytest.mark.parametrize("offset", ["0", "1", "6", "7", "-1", "100", "x"])
def test_limit(offset: str, count: str) -> None:
    limit = f"LIMIT {offset} {count}"
    same(
        [
            _FILL,
            _LEX,
            f"ZRANGEBYSCORE z -inf +inf {limit}",
            f"ZRANGEBYSCORE z (1 (inf WITHSCORES {limit}",
            f"ZREVRANGEBYSCORE z +inf -inf {limit} WITHSCORES",
            f"ZREVRANGEBYSCORE z 3 1 {limit}",
            f"ZRANGE z -inf +inf BYSCORE {limit}",
            f"ZRANGE z +inf -inf BYSCORE REV {limit}",
            f"ZRANGE l - + BYLEX {limit}",
            f"ZRANGE l + - BYLEX REV {limit}",
            f"ZRANGEBYLEX l [b (d {limit}",
            f"ZRANGE z 0 -1 {limit}",
            f"ZRANGE z 0 -1 REV {limit}",
            f"ZREVRANGE z 0 -1 {limit}",
            f"ZRANGESTORE d z -inf +inf BYSCORE {limit}",
            f"ZRANGESTORE d l - + BYLEX {limit}",
            f"ZRANGESTORE d z 0 -1 {limit}",
        ],
        resp=(2,),
        state=True,
    )


def test_errors() -> None:
    same(
        [
            _FILL,
            _LEX,
            *(
                f"{command} {arguments}"
                for command, arguments in (
                    ("ZRANGE", "z 0"),
                    ("ZRANGE", "z 0 -1 BAD"),
                    ("ZRANGE", "z 0 -1 LIMIT 0"),
                    ("ZRANGE", "z 0 -1 LIMIT"),
                    ("ZRANGE", "z 0 -1 REV REV"),
                    ("ZRANGE", "z 0 -1 BYSCORE BYLEX"),
                    ("ZRANGE", "z 0 -1 BYSCORE BYSCORE"),
                    ("ZRANGE", "z 0 -1 WITHSCORES WITHSCORES"),
                    ("ZRANGE", "z x -1 LIMIT 0 1"),
                    ("ZRANGE", "l - + WITHSCORES BYLEX"),
                    ("ZRANGE", "l x + WITHSCORES BYLEX"),
                    ("ZREVRANGE", "z 0 -1 REV"),
                    ("ZREVRANGE", "z 0 -1 BYSCORE"),
                    ("ZRANGEBYSCORE", "z 0 1 REV"),
                    ("ZRANGEBYSCORE", "z 0 1 BYSCORE"),
                    ("ZRANGEBYSCORE", "z 0 1 LIMIT 1"),
                    ("ZRANGEBYSCORE", "z 0"),
                    ("ZRANGEBYLEX", "l - + WITHSCORES"),
                    ("ZRANGEBYLEX", "l - + REV"),
                    ("ZREVRANGEBYSCORE", "z 0 1 BYLEX"),
                    ("ZRANGESTORE", "d z 0 -1 WITHSCORES"),
                    ("ZRANGESTORE", "d z 0"),
                    ("ZRANGESTORE", "d z 0 -1 BAD"),
                    ("ZRANGESTORE", "d none 0 -1"),
                    ("ZCOUNT", "z 0"),
                    ("ZCOUNT", "z 0 1 2"),
                    ("ZLEXCOUNT", "z -"),
                    ("ZREMRANGEBYSCORE", "z 1"),
                    ("ZREMRANGEBYRANK", "z 1"),
                    ("ZREMRANGEBYLEX", "z - + 1"),
                )
            ),
        ]
    )


def test_store_replaces_and_deletes() -> None:
    same(
        [
            _FILL,
            "SET d x EX 100",
            "ZRANGESTORE d z 0 1",
            "TTL d",
            "ZRANGESTORE z z 0 1",
            "ZRANGE z 0 -1 WITHSCORES",
            "ZRANGESTORE z z 5 6",
            "EXISTS z",
            "SET d x",
            "ZRANGESTORE d none 0 -1",
            "EXISTS d",
        ],
        state=True,
    )


def test_ranges_of_a_large_set() -> None:
    pairs = [text for n in range(3000) for text in (str(n // 3), f"m{n:04}")]
    same(
        [
            ["ZADD", "z", *pairs],
            "ZRANGE z 1000 1010 WITHSCORES",
            "ZRANGE z -5 -1",
            "ZREVRANGE z 2500 2520",
            "ZRANGEBYSCORE z (300 310 WITHSCORES LIMIT 3 20",
            "ZREVRANGEBYSCORE z 310 (300 LIMIT 25 20",
            "ZCOUNT z 100 (900",
            "ZRANK z m2000",
            "ZREVRANK z m2000",
            "ZREMRANGEBYSCORE z 100 899",
            "ZREMRANGEBYRANK z 10 20",
            "ZCARD z",
            "ZRANGE z 0 -1 WITHSCORES",
            "ZPOPMIN z 100",
            "ZPOPMAX z 100",
            "ZRANGE z 0 -1",
        ]
    )


_names = st.sampled_from(["a", "b", "bb", "c", "", "z"])
_lex = st.one_of(st.sampled_from(["-", "+"]), st.builds(lambda kind, name: kind + name, st.sampled_from("[("), _names))
_commands: st.SearchStrategy[AnyCommand] = st.one_of(
    st.tuples(st.just("ZADD"), st.just("l"), st.just("0"), _names),
    st.tuples(
        st.sampled_from(["ZRANGEBYLEX", "ZREVRANGEBYLEX", "ZLEXCOUNT", "ZREMRANGEBYLEX"]), st.just("l"), _lex, _lex
    ),
    st.tuples(st.just("ZRANGESTORE"), st.just("d"), st.just("l"), _lex, _lex, st.just("BYLEX")),
)


@examples(40)
@given(st.lists(_commands, max_size=25))
def test_generated_by_member(script: list[AnyCommand]) -> None:
    agree(script)


_LEX_READING = ["ZRANGEBYLEX", "ZREVRANGEBYLEX", "ZLEXCOUNT"]
_numbers = st.integers(-2, 8)
_limits = st.one_of(st.just(()), st.tuples(st.just("LIMIT"), _numbers, _numbers))
_scattered_names = st.sampled_from(["a", "b", "bb", "c", "d", "e", "", "z"])
_bounds = st.one_of(
    st.sampled_from(["-", "+"]), st.builds(lambda kind, name: kind + name, st.sampled_from("[("), _scattered_names)
)


def _lex_commands(key: str) -> st.SearchStrategy[AnyCommand]:
    ranges = st.tuples(st.sampled_from(["ZRANGEBYLEX", "ZREVRANGEBYLEX"]), st.just(key), _bounds, _bounds, _limits)
    options = st.sampled_from([["BYLEX"], ["BYLEX", "REV"]])
    return st.one_of(
        ranges.map(lambda words: [*words[:4], *words[4]]),
        st.tuples(st.sampled_from(["ZLEXCOUNT", "ZREMRANGEBYLEX"]), st.just(key), _bounds, _bounds),
        st.tuples(st.just("ZRANGE"), st.just(key), _bounds, _bounds, options, _limits).map(
            lambda words: [*words[:4], *words[4], *words[5]]
        ),
        st.tuples(st.just("ZRANGESTORE"), st.just("d"), st.just(key), _bounds, _bounds, options, _limits).map(
            lambda words: [*words[:5], *words[5], *words[6]]
        ),
    )


@examples(80)
@given(
    st.lists(st.tuples(st.integers(0, 4), _scattered_names), min_size=2, max_size=8),
    st.lists(_lex_commands("l"), max_size=12),
)
def test_generated_by_member_on_unequal_scores(entries: list[tuple[int, str]], script: list[AnyCommand]) -> None:
    """In a small set the first member within the bounds is found by going through all of them."""
    agree([["ZADD", "l", *(word for entry in entries for word in entry)], *script])


@examples(60)
@given(st.lists(_lex_commands("l"), max_size=12), st.sampled_from([5, 129, 1000]))
def test_generated_by_member_where_members_ascend_with_scores(script: list[AnyCommand], count: int) -> None:
    """In a large set the search finds the one place where the range can begin."""
    names = [f"{letter}{number:03}" for letter in "abcdef" for number in range(count // 5)]
    entries = [word for score, name in enumerate(names) for word in (score, name)]
    try:
        agree(["CONFIG SET zset-max-listpack-entries 4", ["ZADD", "l", *entries], *script])
    finally:
        same(["CONFIG SET zset-max-listpack-entries 128"])


@pytest.mark.parametrize("entries", [128, 4])
def test_by_member_on_unequal_scores(entries: int) -> None:
    same(
        [
            f"CONFIG SET zset-max-listpack-entries {entries}",
            "ZADD z 1 a 2 b 3 c 4 d 5 e",
            "ZRANGEBYLEX z [a [b",
            "ZRANGEBYLEX z (a +",
            "ZRANGEBYLEX z - + LIMIT 1 2",
            "ZREVRANGEBYLEX z (c -",
            "ZREVRANGEBYLEX z + (a LIMIT 1 2",
            "ZRANGE z [b + BYLEX",
            "ZRANGE z + [b BYLEX REV LIMIT 0 2",
            "ZLEXCOUNT z [b (d",
            "ZLEXCOUNT z - +",
            "ZLEXCOUNT z [f +",
            "ZRANGESTORE d z [b [c BYLEX",
            "ZRANGE d 0 -1 WITHSCORES",
            "ZREMRANGEBYLEX z [b (d",
            "ZRANGE z 0 -1 WITHSCORES",
        ],
        state=True,
        cleanup=["CONFIG SET zset-max-listpack-entries 128"],
    )
