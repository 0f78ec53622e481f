"""Sorted set commands on members, scores and ranks against redis-server, and generated sequences."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, Shape, Unordered, agree, examples, pair, requires, same


def test_add_and_read() -> None:
    same(
        [
            "ZADD z 1 a",
            "ZADD z 1 a 2 b 3 c 2.5 a",
            "ZRANGE z 0 -1 WITHSCORES",
            "ZADD z",
            "ZADD z 1",
            "ZADD z 1 a 2",
            "ZADD z x a",
            "ZADD z 1 a x b",
            'ZADD z "" a',
            'ZADD z " 1" a',
            "ZADD z nan a",
            "ZADD z inf i -inf j +inf k Infinity l",
            "ZADD z 1e400 m",
            "ZADD z 0x10 hex 1e5 e .5 h -.5 n 1. d",
            "ZADD z -0 zero",
            "ZADD z 0 zero",
            "ZADD z 3.0 t 3.14159265358979 p 1e21 big 123456789012345678 q 0.1 r 1e-7 s",
            "ZADD z 17179869184.5 u 4611686018427387904 v 9007199254740993 w -1e-320 x",
            "ZRANGE z 0 -1 WITHSCORES",
            "ZSCORE z a",
            "ZSCORE z zz",
            "ZSCORE none a",
            "ZSCORE z",
            "ZMSCORE z a zz b",
            "ZMSCORE none a b",
            "ZMSCORE z",
            "ZCARD z",
            "ZCARD none",
            "ZCARD",
            ["ZADD", "bin", "1", b"\x00\r\n", "1", "", "1", b"\xff"],
            "ZRANGE bin 0 -1",
            ["ZSCORE", "bin", b"\x00\r\n"],
        ],
        state=True,
    )


_FLAGS = ("NX", "XX", "GT", "LT", "CH", "INCR")


@pytest.mark.parametrize(
    "flags", [flags for n in range(4) for flags in itertools.combinations(_FLAGS, n)], ids="-".join
)
def test_options_of_add(flags: tuple[str, ...]) -> None:
    options = " ".join(flags)
    same(
        [
            "ZADD z 5 a 5 b",
            f"ZADD z {options} 3 a",
            f"ZADD z {options} 7 a",
            f"ZADD z {options} 0 b",
            f"ZADD z {options} 5 b",
            f"ZADD z {options} 1 new",
            f"ZADD z {options} 1 c 9 b 5 a",
            f"ZADD none {options} 1 a",
            f"ZADD none {options} 1 a",
            f"ZADD z {options}",
            f"ZADD z {options} 1",
            f"ZADD z {options} x a",
            f"ZADD z {options.lower()} -3 a",
            "ZRANGE z 0 -1 WITHSCORES",
        ],
        state=True,
    )


def test_increments() -> None:
    same(
        [
            "ZINCRBY z 1 a",
            "ZINCRBY z 1.5 a",
            "ZINCRBY z -10 a",
            "ZINCRBY z 0 a",
            "ZINCRBY z inf a",
            "ZINCRBY z -inf a",
            "ZINCRBY z inf a",
            "ZADD z INCR -inf a",
            "ZINCRBY z x a",
            "ZINCRBY z nan a",
            "ZINCRBY z 1",
            "ZINCRBY z 1 a b",
            "ZADD z INCR 1 a 2 b",
            "ZADD z INCR 3 n",
            "ZADD z INCR 3 n",
            "ZADD z XX INCR 3 missing",
            "ZADD z NX INCR 3 n",
            "ZADD z GT INCR -3 n",
            "ZADD z LT INCR -3 n",
            "ZADD none XX INCR 3 n",
            "ZINCRBY z 0.1 f",
            "ZINCRBY z 0.2 f",
            "ZRANGE z 0 -1 WITHSCORES",
        ],
        state=True,
    )


@pytest.mark.parametrize(
    "text",
    [
        "1023", "1024", "007", "0", "00", "-0", "-5", "000000001234", "999999999999999", "000000000000001",
        "9007199254740993", "99999999999999999", "123456789012345678901", "1.5", "+7", "1e3", " 7", "7 ", "0x10", "inf",
        "", "1_0", "1\0",
    ],
)  # fmt: skip
def test_texts_of_scores(text: str) -> None:
    same(
        [
            ["ZADD", "z", text, "a"],
            ["ZADD", "z", text, "a"],
            "ZSCORE z a",
            ["ZADD", "z", text, "b", text, "c"],
            "ZRANGE z 0 -1 WITHSCORES",
            ["ZINCRBY", "z", text, "a"],
            ["ZINCRBY", "z", text, "new"],
            "ZADD z -0 zero",
            ["ZINCRBY", "z", text, "zero"],
            ["ZINCRBY", "made", text, "a"],
            "ZRANGE made 0 -1 WITHSCORES",
        ],
        state=True,
    )


def test_remove() -> None:
    same(
        [
            "ZADD z 1 a 2 b 3 c",
            "ZREM z zz",
            "ZREM z a zz a",
            "ZREM none a",
            "ZREM z",
            "ZRANGE z 0 -1",
            "ZREM z b c zz",
            "EXISTS z",
        ],
        state=True,
    )


def test_ranks() -> None:
    same(
        [
            "ZADD z 1 a 2 b 2 bb 2 B 3 c",
            "ZRANK z a",
            "ZRANK z bb",
            "ZRANK z B",
            "ZRANK z zz",
            "ZRANK none a",
            "ZREVRANK z a",
            "ZREVRANK z bb",
            "ZREVRANK none a",
            "ZREVRANK z zz",
            "ZRANK z",
            "ZREVRANK",
        ]
    )


@requires("7.2")
@pytest.mark.parametrize("command", ["ZRANK", "ZREVRANK"])
def test_ranks_with_scores(command: str) -> None:
    same(
        [
            "ZADD z 1.5 a 2 b",
            f"{command} z a WITHSCORE",
            f"{command} z b withscore",
            f"{command} z zz WITHSCORE",
            f"{command} none a WITHSCORE",
            f"{command} z a WITHSCORES",
            f"{command} none a BAD",
            f"{command} z a WITHSCORE x",
        ]
    )


@pytest.mark.parametrize(
    "command",
    [
        "ZADD k 1 a",
        "ZADD k x a",
        "ZADD k NX XX 1 a",
        "ZADD k XX 1 a",
        "ZADD k INCR 1 a",
        "ZINCRBY k 1 a",
        "ZINCRBY k x a",
        "ZREM k a",
        "ZSCORE k a",
        "ZMSCORE k a",
        "ZCARD k",
        "ZRANK k a",
        "ZRANK k a BAD",
        "ZREVRANK k a",
        "ZSCAN k 0",
        "ZSCAN k x",
        "ZSCAN k 0 BAD",
        "ZRANDMEMBER k",
        "ZRANDMEMBER k 1",
        "ZRANDMEMBER k x",
        "ZRANGE k 0 -1",
        "ZRANGE k x y",
        "ZRANGE k a b BYLEX",
        "ZREVRANGE k 0 -1",
        "ZRANGEBYSCORE k 0 1",
        "ZRANGEBYSCORE k x 1",
        "ZREVRANGEBYSCORE k 1 0",
        "ZRANGEBYLEX k - +",
        "ZREVRANGEBYLEX k + -",
        "ZRANGESTORE d k 0 -1",
        "ZRANGESTORE k none 0 -1",
        "ZCOUNT k 0 1",
        "ZCOUNT k x 1",
        "ZLEXCOUNT k - +",
        "ZREMRANGEBYRANK k 0 1",
        "ZREMRANGEBYSCORE k 0 1",
        "ZREMRANGEBYLEX k - +",
        "ZPOPMIN k",
        "ZPOPMIN k 0",
        "ZPOPMIN k x",
        "ZPOPMAX k 1",
        "BZPOPMIN k 1",
        "BZPOPMIN k x",
        "BZPOPMAX none k 1",
        "BZPOPMIN z k 1",
        "ZMPOP 1 k MIN",
        "ZMPOP 2 none k MAX",
        "ZMPOP 2 z k MAX",
        "BZMPOP 1 1 k MIN",
        "ZUNION 2 z k",
        "ZUNION 2 k z BAD",
        "ZINTER 2 none k",
        "ZDIFF 2 z k",
        "ZUNIONSTORE d 1 k",
        "ZUNIONSTORE k 1 z",
        "ZINTERSTORE k 1 none",
        "ZINTERCARD 1 k",
        "ZDIFFSTORE d 2 z k",
    ],
)
def test_wrong_type(command: str) -> None:
    same(["SET k x", "ZADD z 1 a", command, "TYPE k", "TYPE d"], state=True)


def test_scan_of_a_small_set_returns_all() -> None:
    same(
        [
            "ZADD z 1 b 0.1 a 3 ab inf i 1e20 e",
            "ZSCAN z 0",
            "ZSCAN z 7 COUNT 1",
            "ZSCAN z 0 MATCH a*",
            "ZSCAN z 0 MATCH *",
            "ZSCAN z 0 COUNT 0",
            "ZSCAN z 0 COUNT x",
            "ZSCAN z 0 NOVALUES",
            "ZSCAN z 0 BAD",
            "ZSCAN z x",
            "ZSCAN none 0",
            "ZSCAN z",
        ]
    )


def test_scan_of_a_large_set() -> None:
    pairs = [text for n in range(129) for text in (str(n / 7), f"m{n}")]
    same(
        [
            ["ZADD", "z", *pairs, "inf", "i", "1e20", "e"],
            "OBJECT ENCODING z",
            Unordered("ZSCAN z 0 COUNT 100000", pairs=True),
            Unordered("ZSCAN z 0 COUNT 100000 MATCH m1*", pairs=True),
            ["ZADD", "long", "1", "x" * 64],
            "OBJECT ENCODING long",
            ["ZADD", "long", "0.1", "x" * 65],
            "OBJECT ENCODING long",
            Unordered("ZSCAN long 0 COUNT 1000", pairs=True),
        ]
    )


def test_random_members() -> None:
    same(
        [
            "ZRANDMEMBER none",
            "ZRANDMEMBER none 2",
            "ZRANDMEMBER none -2 WITHSCORES",
            "ZADD one 1.5 a",
            "ZRANDMEMBER one",
            "ZRANDMEMBER one 1",
            "ZRANDMEMBER one 5 WITHSCORES",
            "ZRANDMEMBER one -3",
            "ZRANDMEMBER one -3 withscores",
            "ZRANDMEMBER one 0",
            "ZADD z 1 a 2 b 3 c",
            Shape("ZRANDMEMBER z"),
            Shape("ZRANDMEMBER z 2 WITHSCORES"),
            Unordered("ZRANDMEMBER z 5"),
            Shape("ZRANDMEMBER z -5"),
            "ZRANDMEMBER z x",
            "ZRANDMEMBER z 1 x",
            "ZRANDMEMBER z 1 WITHSCORES x",
            "ZRANDMEMBER z -9223372036854775808",
            "ZRANDMEMBER z -9223372036854775807 WITHSCORES",
            "ZRANDMEMBER z 9223372036854775807 WITHSCORES",
            "ZRANDMEMBER",
        ]
    )


def test_events() -> None:
    with pair(cleanup=['CONFIG SET notify-keyspace-events ""']) as p:
        listener, client = p.client(resp=3), p.client()
        client.do("CONFIG SET notify-keyspace-events KEAnoc")
        listener.do("PSUBSCRIBE __key*")
        for command in (
            "ZADD z 1 a 2 b 3 c",
            "ZADD z 1 a",
            "ZADD z 2 a",
            "ZADD z INCR 2 a",
            "ZADD z INCR 0 a",
            "ZADD z XX 2 zz",
            "ZADD none XX 2 zz",
            "ZINCRBY z 2 a",
            "ZINCRBY y 2 a",
            "ZREM z zz",
            "ZREM z a",
            "ZREM z b c",
            "ZADD z 1 a 2 b 3 c 4 d 5 e",
            "ZREMRANGEBYRANK z 9 10",
            "ZREMRANGEBYRANK z 0 0",
            "ZREMRANGEBYSCORE z 2 2",
            "ZREMRANGEBYLEX z [c [c",
            "ZRANGESTORE d z 0 -1",
            "ZRANGESTORE d z 5 6",
            "SET d x",
            "ZRANGESTORE d z 0 -1",
            "ZPOPMIN z",
            "ZPOPMAX z",
            "ZADD z 1 a 2 b",
            "ZPOPMIN z 5",
            "ZADD z 1 a 2 b",
            "ZPOPMAX z 0",
            "ZMPOP 2 none z MIN COUNT 5",
            "ZADD z 1 a 2 b",
            "BZPOPMIN z 0",
            "BZMPOP 0 1 z MAX",
            "ZADD z 1 a 2 b",
            "ZUNIONSTORE d 2 z y",
            "ZINTERSTORE d 2 z y",
            "ZDIFFSTORE d 2 z y",
            "ZDIFFSTORE d 2 z z",
            "ZREMRANGEBYSCORE z -inf +inf",
        ):
            client.do(command)
            listener.drain()


_keys = st.sampled_from(["z", "y"])
_members = st.sampled_from(["a", "b", "c", "d", ""])
_scores = st.sampled_from(["1", "2", "-1", "0", "-0", "1.5", "inf", "-inf", "1e20", "0.1", "x"])
_bounds = st.sampled_from(["-inf", "+inf", "0", "(1", "1", "(1.5", "2", "(inf", "x"])
_ranks = st.integers(-5, 5).map(str)
_options = st.sampled_from([(), ("NX",), ("XX",), ("GT",), ("LT", "CH"), ("CH",), ("INCR",), ("XX", "GT", "CH")])
_commands: st.SearchStrategy[AnyCommand] = st.one_of(
    st.builds(lambda k, o, s, m: ("ZADD", k, *o, s, m), _keys, _options, _scores, _members),
    st.builds(lambda k, s, m, t, n: ("ZADD", k, s, m, t, n), _keys, _scores, _members, _scores, _members),
    st.tuples(st.just("ZINCRBY"), _keys, _scores, _members),
    st.tuples(st.sampled_from(["ZREM", "ZSCORE", "ZRANK", "ZREVRANK", "ZMSCORE"]), _keys, _members),
    st.tuples(st.sampled_from(["ZCARD", "ZPOPMIN", "ZPOPMAX", "DEL"]), _keys),
    st.tuples(st.sampled_from(["ZPOPMIN", "ZPOPMAX"]), _keys, st.sampled_from(["0", "1", "2", "9"])),
    st.tuples(st.sampled_from(["ZRANGE", "ZREVRANGE"]), _keys, _ranks, _ranks, st.just("WITHSCORES")),
    st.tuples(st.sampled_from(["ZRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZCOUNT"]), _keys, _bounds, _bounds),
    st.tuples(st.just("ZRANGE"), _keys, _bounds, _bounds, st.just("BYSCORE"), st.just("LIMIT"), _ranks, _ranks),
    st.tuples(st.just("ZREMRANGEBYSCORE"), _keys, _bounds, _bounds),
    st.tuples(st.just("ZREMRANGEBYRANK"), _keys, _ranks, _ranks),
    st.tuples(st.sampled_from(["ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"]), _keys, st.just("2"), _keys, _keys),
    st.tuples(st.just("ZSCAN"), _keys, st.just("0")),
    st.tuples(st.sampled_from(["SET", "SADD"]), _keys, _members),
)


@examples(50)
@given(st.lists(_commands, max_size=25))
def test_generated(script: list[AnyCommand]) -> None:
    agree(script)
