"""Set commands against redis-server: every option, error, type and missing key, and generated sequences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, Shape, Unordered, agree, examples, pair, requires, same


def test_members() -> None:
    same(
        [
            "SADD s a",
            "SADD s a b c b",
            "SADD s a",
            "SADD s",
            "SMEMBERS s",
            "SMEMBERS none",
            "SMEMBERS",
            "SCARD s",
            "SCARD none",
            "SISMEMBER s a",
            "SISMEMBER s zz",
            "SISMEMBER none a",
            "SMISMEMBER s a zz b a",
            "SMISMEMBER none a b",
            "SMISMEMBER s",
            "SREM s zz",
            "SREM s a zz a",
            "SREM none a",
            "SREM s",
            "SMEMBERS s",
            "SREM s c b b zz",
            "EXISTS s",
            ["SADD", "bin", b"\x00\r\n", b"\xff", ""],
            "SMEMBERS bin",
            ["SISMEMBER", "bin", b"\x00\r\n"],
            'SISMEMBER bin ""',
        ],
        state=True,
    )


@pytest.mark.parametrize(
    "members", [["3", "1", "2"], ["1", "-5", "9223372036854775807"], ["1", "01"], ["x", "1"], ["x" * 64], ["x" * 65]]
)
def test_encodings(members: list[str]) -> None:
    same(
        [
            ["SADD", "s", *members],
            "OBJECT ENCODING s",
            Unordered("SMEMBERS s"),
            "SADD s 1 2 3",
            "OBJECT ENCODING s",
            Unordered("SSCAN s 0 COUNT 1000"),
        ]
    )


@pytest.mark.parametrize("size", [128, 129, 512, 513])
def test_encoding_of_a_growing_set(size: int) -> None:
    same(
        [
            ["SADD", "i", *map(str, range(size))],
            "OBJECT ENCODING i",
            ["SADD", "t", *(f"m{number}" for number in range(size))],
            "OBJECT ENCODING t",
            Unordered("SSCAN i 0 COUNT 100000"),
            Unordered("SSCAN t 0 COUNT 100000 MATCH m1*"),
        ]
    )


@pytest.mark.parametrize(
    "command",
    [
        "SADD k a",
        "SREM k a",
        "SMEMBERS k",
        "SCARD k",
        "SISMEMBER k a",
        "SMISMEMBER k a",
        "SPOP k",
        "SPOP k 1",
        "SPOP k 0",
        "SPOP k x",
        "SPOP k 1 2",
        "SRANDMEMBER k",
        "SRANDMEMBER k 1",
        "SRANDMEMBER k x",
        "SSCAN k 0",
        "SSCAN k x",
        "SSCAN k 0 BAD",
        "SMOVE k s a",
        "SMOVE s k a",
        "SMOVE s k zz",
        "SMOVE none k a",
        "SMOVE k none a",
        "SMOVE k k a",
        "SINTER k",
        "SINTER s k",
        "SINTER none k",
        "SINTER k none",
        "SUNION s k",
        "SDIFF s k",
        "SDIFF none k",
        "SINTERSTORE d s k",
        "SINTERSTORE d none k",
        "SUNIONSTORE d s k",
        "SDIFFSTORE d s k",
        "SINTERSTORE k s s",
        "SUNIONSTORE k s none",
        "SDIFFSTORE k none",
        "SINTERCARD 1 k",
        "SINTERCARD 2 s k LIMIT 1",
    ],
)
def test_wrong_type(command: str) -> None:
    same(["SET k x", "SADD s a", command, "TYPE k", "TYPE d"], state=True)


def test_pop() -> None:
    same(
        [
            "SPOP none",
            "SPOP none 1",
            "SPOP none 0",
            "SPOP none -1",
            "SPOP none x",
            "SADD s a",
            "SPOP s",
            "EXISTS s",
            "SADD s a b c",
            Unordered("SPOP s 3"),
            "EXISTS s",
            "SADD s a b c",
            Unordered("SPOP s 10"),
            "SADD s a b c d",
            "SPOP s 0",
            Shape("SPOP s"),
            Shape("SPOP s 2"),
            "SCARD s",
            Shape("SPOP s 1"),
            "EXISTS s",
            "SADD s a",
            "SPOP s -1",
            "SPOP s x",
            "SPOP s 1.5",
            "SPOP s 9223372036854775808",
            "SPOP s 1 2",
            "SPOP s x 2",
            "SPOP",
            "SPOP s 9223372036854775807",
            ["SADD", "big", *map(str, range(3000))],
            Shape("SPOP big 2000"),
            "SCARD big",
            Shape("SPOP big 10"),
            "SCARD big",
        ]
    )


def test_random_members() -> None:
    same(
        [
            "SRANDMEMBER none",
            "SRANDMEMBER none 1",
            "SRANDMEMBER none -1",
            "SRANDMEMBER none x",
            "SADD one a",
            "SRANDMEMBER one",
            "SRANDMEMBER one 1",
            "SRANDMEMBER one 5",
            "SRANDMEMBER one -3",
            "SRANDMEMBER one 0",
            "SADD s a b c d",
            Shape("SRANDMEMBER s"),
            Shape("SRANDMEMBER s 2"),
            Unordered("SRANDMEMBER s 4"),
            Unordered("SRANDMEMBER s 9223372036854775807"),
            Shape("SRANDMEMBER s -10"),
            "SRANDMEMBER s x",
            "SRANDMEMBER s 1 2",
            "SRANDMEMBER s -9223372036854775808",
            "SRANDMEMBER",
            "SCARD s",
        ]
    )


def test_move() -> None:
    same(
        [
            "SADD a 1 2 3",
            "SADD b 3 4",
            "SMOVE a b 1",
            "SMOVE a b 1",
            "SMOVE a b 3",
            "SMOVE a b zz",
            "SMOVE none b 1",
            "SMOVE a a 2",
            "SMOVE a a zz",
            "SMOVE a new 2",
            "EXISTS a",
            "SMOVE b b 4",
            "SMOVE a b",
            "SMEMBERS b",
            "SMEMBERS new",
        ],
        unordered=True,
        state=True,
    )


@pytest.mark.parametrize("operation", ["SINTER", "SUNION", "SDIFF"])
def test_operations(operation: str) -> None:
    same(
        [
            "SADD a 1 2 3 x y",
            "SADD b 2 3 4 x",
            "SADD c 3 z x",
            f"{operation} a",
            f"{operation} a b",
            f"{operation} a b c",
            f"{operation} c b a",
            f"{operation} a a",
            f"{operation} a none",
            f"{operation} none a",
            f"{operation} none",
            f"{operation}",
            f"{operation}STORE d a b",
            "SMEMBERS d",
            f"{operation}STORE d a b c",
            "EXPIRE d 100",
            f"{operation}STORE d a",
            "TTL d",
            f"{operation}STORE d none",
            "EXISTS d",
            f"{operation}STORE a a b",
            "SMEMBERS a",
            f"{operation}STORE d",
            f"{operation}STORE d none none2",
            "SET d x",
            f"{operation}STORE d none",
            "EXISTS d",
            "SET d x",
            f"{operation}STORE d b c",
            "TYPE d",
        ],
        unordered=True,
        state=True,
    )


@pytest.mark.parametrize(
    "operation",
    [
        "SINTERCARD",
        pytest.param("SUNIONCARD", marks=requires("8.10")),
        pytest.param("SDIFFCARD", marks=requires("8.10")),
    ],
)
def test_counts(operation: str) -> None:
    same(
        [
            "SADD a 1 2 3 x y",
            "SADD b 2 3 4 x",
            "SADD c 3 z x",
            f"{operation} 1 a",
            f"{operation} 2 a b",
            f"{operation} 3 a b c",
            f"{operation} 2 a none",
            f"{operation} 2 none a",
            f"{operation} 1 none",
            f"{operation} 2 a b LIMIT 0",
            f"{operation} 2 a b LIMIT 1",
            f"{operation} 2 a b LIMIT 100",
            f"{operation} 2 a b limit 2",
            f"{operation} 2 a b LIMIT 2 LIMIT 1",
            f"{operation} 2 a b LIMIT -1",
            f"{operation} 2 a b LIMIT x",
            f"{operation} 2 a b LIMIT",
            f"{operation} 2 a b BAD",
            f"{operation} 2 a b c",
            f"{operation} 0 a",
            f"{operation} -1 a",
            f"{operation} x a",
            f"{operation} 3 a b",
            f"{operation} 2 a b APPROX",
            f"{operation} 1",
            f"{operation}",
        ]
    )


def test_scan_of_a_small_set_returns_all() -> None:
    same(
        [
            "SADD s a b ab",
            "SSCAN s 0",
            "SSCAN s 7 COUNT 1",
            "SSCAN s 0 MATCH a*",
            "SSCAN s 0 MATCH *",
            "SSCAN s 0 COUNT 0",
            "SSCAN s 0 COUNT x",
            "SSCAN s 0 COUNT",
            "SSCAN s 0 MATCH",
            "SSCAN s 0 NOVALUES",
            "SSCAN s 0 TYPE set",
            "SSCAN s x",
            "SSCAN none 0",
            "SSCAN none 0 BAD",
            "SSCAN s",
            "SADD i 3 1 2",
            Unordered("SSCAN i 0 MATCH [12]"),
        ]
    )


def test_events() -> None:
    with pair(cleanup=['CONFIG SET notify-keyspace-events ""']) as p:
        listener, client = p.client(resp=3), p.client()
        client.do("CONFIG SET notify-keyspace-events KEAnoc")
        listener.do("PSUBSCRIBE __key*")
        for command in (
            "SADD s a b c",
            "SADD s a",
            "SREM s zz",
            "SREM s a",
            "SMOVE s t b",
            "SMOVE s t zz",
            "SMOVE s t c",
            "SADD t x",
            "SPOP t 0",
            Unordered("SPOP t 100"),
            "SADD t x",
            "SPOP t",
            "SADD a 1 2",
            "SADD b 2 3",
            "SREM a 1 2",
            "SADD a 1 2",
            "SINTERSTORE d a b",
            "SUNIONSTORE d a b",
            "SDIFFSTORE d a b",
            "SDIFFSTORE d a a",
            "SINTERSTORE d a none",
            "SET d x",
            "SUNIONSTORE d none",
            "SET d x",
            "SUNIONSTORE d a",
        ):
            client.do(command)
            listener.drain()


def test_transactions_see_each_command() -> None:
    same(["MULTI", "SADD s a b", "SREM s a", "SPOP s", "SCARD s", "EXEC"])


_keys = st.sampled_from(["s", "t", "u"])
_members = st.sampled_from(["a", "b", "c", "1", "2", "-3", ""])
_commands: st.SearchStrategy[AnyCommand] = st.one_of(
    st.tuples(st.sampled_from(["SADD", "SREM"]), _keys, _members),
    st.tuples(st.sampled_from(["SADD", "SREM", "SMISMEMBER"]), _keys, _members, _members, _members),
    st.tuples(st.just("SISMEMBER"), _keys, _members),
    st.tuples(st.sampled_from(["SCARD", "DEL"]), _keys),
    st.tuples(st.just("SMOVE"), _keys, _keys, _members),
    st.builds(Unordered, st.tuples(st.sampled_from(["SMEMBERS", "SINTER", "SUNION", "SDIFF"]), _keys)),
    st.builds(Unordered, st.tuples(st.sampled_from(["SINTER", "SUNION", "SDIFF"]), _keys, _keys)),
    st.tuples(st.sampled_from(["SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"]), _keys, _keys, _keys),
    st.builds(Unordered, st.tuples(st.just("SPOP"), _keys, st.just("20"))),
    st.builds(Unordered, st.tuples(st.just("SSCAN"), _keys, st.just("0"))),
    st.tuples(st.just("SET"), _keys, _members),
)


@examples(40)
@given(st.lists(_commands, max_size=25))
def test_generated(script: list[AnyCommand]) -> None:
    agree(script)
