"""Hash commands against redis-server: every option, error, type and missing key, and generated sequences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, Shape, Unordered, agree, examples, pair, same


def test_set_and_get() -> None:
    same(
        [
            "HSET h a 1",
            "HSET h a 2 b 3 a 4 c 5",
            "HGETALL h",
            "HSET h",
            "HSET h a",
            "HSET h a 1 b",
            "hSeT h a 1 b",
            "HGET h a",
            "HGET h zz",
            "HGET none a",
            "HMGET h a zz b a",
            "HMGET none a b",
            "HMGET h",
            "HMSET h d 6 e 7",
            "HMSET h d",
            "HMSET h d 1 e",
            "hmset h d 1 e",
            "HSETNX h a 9",
            "HSETNX h f 9",
            "HSETNX new f 9",
            "HSETNX new f",
            "HKEYS h",
            "HVALS h",
            "HLEN h",
            "HLEN none",
            "HKEYS none",
            "HVALS none",
            "HGETALL none",
            "HEXISTS h a",
            "HEXISTS h zz",
            "HEXISTS none a",
            "HSTRLEN h a",
            "HSTRLEN h zz",
            "HSTRLEN none zz",
            ["HSET", "bin", b"\x00\r\n", b"\xff\x00", "", ""],
            ["HGET", "bin", b"\x00\r\n"],
            "HGETALL bin",
            'HSTRLEN bin ""',
            "HSET h n 12345678901234567890 m -0012",
            "HSTRLEN h n",
            "OBJECT ENCODING h",
        ],
        state=True,
    )


def test_delete() -> None:
    same(
        [
            "HSET h a 1 b 2 c 3",
            "HDEL h a a zz",
            "HDEL h zz",
            "HDEL none a",
            "HDEL h",
            "HGETALL h",
            "HDEL h b c d",
            "EXISTS h",
            "TYPE h",
        ],
        state=True,
    )


def test_increment() -> None:
    same(
        [
            "HINCRBY h n 5",
            "HINCRBY h n -10",
            "HGET h n",
            "HINCRBY h n 9223372036854775807",
            "HINCRBY h n 9223372036854775807",
            "HINCRBY h m -9223372036854775808",
            "HINCRBY h m -1",
            "HINCRBY h m 9223372036854775808",
            "HINCRBY h m 1.5",
            "HINCRBY h m +1",
            'HINCRBY h m " 1"',
            "HINCRBY h m 01",
            "HINCRBY h m",
            "HINCRBY h m 1 2",
            'HSET h s abc f 1.5 e "" sp " 1" z 01',
            "HINCRBY h s 1",
            "HINCRBY h f 1",
            "HINCRBY h e 1",
            "HINCRBY h sp 1",
            "HINCRBY h z 1",
            "HINCRBY new n 0",
            "HGETALL new",
        ],
        state=True,
    )


@pytest.mark.parametrize(
    "increment", ["1", "-1.5", "5.0e3", "0.1", "1e-20", "0x10", "inf", "-inf", "nan", "abc", "", "1e5000", "3.0"]
)
def test_increment_by_float(increment: str) -> None:
    same(
        [
            'HSET h i 10 f 10.50 e 5e1 t text b "" sp " 1" big 1.7e4932 inf inf',
            *(
                ["HINCRBYFLOAT", "h", field, increment]
                for field in ("i", "f", "e", "t", "b", "sp", "big", "inf", "new")
            ),
            ["HINCRBYFLOAT", "new", "f", increment],
            "HGETALL h",
            "HGETALL new",
            "HINCRBYFLOAT h f",
        ],
        state=True,
    )


@pytest.mark.parametrize(
    "command",
    [
        "HSET s a 1",
        "HSET s a",
        "HMSET s a 1",
        "HSETNX s a 1",
        "HGET s a",
        "HMGET s a b",
        "HGETALL s",
        "HKEYS s",
        "HVALS s",
        "HLEN s",
        "HEXISTS s a",
        "HSTRLEN s a",
        "HDEL s a",
        "HINCRBY s a 1",
        "HINCRBY s a x",
        "HINCRBYFLOAT s a 1",
        "HINCRBYFLOAT s a x",
        "HSCAN s 0",
        "HSCAN s x",
        "HSCAN s 0 BAD",
        "HRANDFIELD s",
        "HRANDFIELD s 1",
        "HRANDFIELD s 0",
        "HRANDFIELD s x",
        "HRANDFIELD s 1 BAD",
    ],
)
def test_wrong_type(command: str) -> None:
    same(["SET s x", command, "GET s"])


def test_scan_of_a_small_hash_returns_all() -> None:
    same(
        [
            "HSET h a 1 b 2 ab 3",
            "HSCAN h 0",
            "HSCAN h 5",
            "HSCAN h 0 COUNT 1",
            "HSCAN h 0 MATCH a*",
            "HSCAN h 0 MATCH *",
            "HSCAN h 0 MATCH zz",
            "HSCAN h 0 NOVALUES",
            "HSCAN h 0 MATCH a* NOVALUES COUNT 3",
            "HSCAN h 0 match b count 5 novalues",
            "HSCAN h 0 COUNT 0",
            "HSCAN h 0 COUNT -1",
            "HSCAN h 0 COUNT x",
            "HSCAN h 0 COUNT",
            "HSCAN h 0 MATCH",
            "HSCAN h 0 TYPE hash",
            "HSCAN h 0 NOPE",
            "HSCAN h 0 MATCH a* COUNT 0",
            "HSCAN h x",
            "HSCAN h -1",
            "HSCAN h 18446744073709551615",
            "HSCAN h 18446744073709551616",
            "HSCAN h",
            "HSCAN none 0",
            "HSCAN none x",
            "HSCAN none 0 NOPE",
        ]
    )


@pytest.mark.parametrize("size", [513, 600])
def test_scan_of_a_large_hash_in_one_call(size: int) -> None:
    pairs = [text for number in range(size) for text in (f"f{number}", f"v{number}")]
    same(
        [
            ["HSET", "h", *pairs],
            Unordered("HSCAN h 0 COUNT 100000", pairs=True),
            Unordered("HSCAN h 0 COUNT 100000 NOVALUES"),
            Unordered("HSCAN h 0 COUNT 100000 MATCH f1*"),
            "OBJECT ENCODING h",
        ]
    )


def test_random_fields() -> None:
    same(
        [
            "HRANDFIELD none",
            "HRANDFIELD none 3",
            "HRANDFIELD none -3",
            "HRANDFIELD none 3 WITHVALUES",
            "HSET one f v",
            "HRANDFIELD one",
            "HRANDFIELD one 1",
            "HRANDFIELD one 5",
            "HRANDFIELD one -3",
            "HRANDFIELD one 0",
            "HRANDFIELD one 0 WITHVALUES",
            "HRANDFIELD one 1 WITHVALUES",
            "HRANDFIELD one -2 withvalues",
            "HSET h a 1 b 2 c 3 d 4",
            Shape("HRANDFIELD h"),
            Shape("HRANDFIELD h 2"),
            "HRANDFIELD h 4",
            "HRANDFIELD h 10",
            "HRANDFIELD h 10 WITHVALUES",
            Shape("HRANDFIELD h -10"),
            Shape("HRANDFIELD h 2 WITHVALUES"),
            Shape("HRANDFIELD h -5 WITHVALUES"),
            "HRANDFIELD h x",
            "HRANDFIELD h 1 x",
            "HRANDFIELD h 1 WITHVALUES x",
            "HRANDFIELD h x WITHVALUES x",
            "HRANDFIELD h -9223372036854775808",
            "HRANDFIELD h -9223372036854775808 WITHVALUES",
            "HRANDFIELD h 9223372036854775807 WITHVALUES",
            "HRANDFIELD h -9223372036854775807 WITHVALUES",
            "HRANDFIELD h 9223372036854775807",
            "HRANDFIELD",
        ]
    )


def test_encoding_of_a_growing_hash() -> None:
    same(
        [
            ["HSET", "h", "f", "x" * 64],
            "OBJECT ENCODING h",
            ["HSET", "h", "f", "x" * 65],
            "OBJECT ENCODING h",
            ["HSET", "g", *[text for n in range(512) for text in (str(n), "v")]],
            "OBJECT ENCODING g",
            "HSET g more v",
            "OBJECT ENCODING g",
        ]
    )


def test_events() -> None:
    with pair(cleanup=['CONFIG SET notify-keyspace-events ""']) as p:
        listener, client = p.client(resp=3), p.client()
        client.do("CONFIG SET notify-keyspace-events KEAn")
        listener.do("PSUBSCRIBE __key*")
        for command in (
            "HSET h a 1 b 2",
            "HSET h a 1",
            "HMSET h a 1",
            "HSETNX h a 1",
            "HSETNX h c 1",
            "HINCRBY h a 1",
            "HINCRBYFLOAT h a 1.5",
            "HINCRBY h b x",
            "HDEL h zz",
            "HDEL h a",
            "HDEL h b c zz",
            "HINCRBY g a 1",
            "HINCRBYFLOAT k a 1",
            "HSETNX m a 1",
        ):
            client.do(command)
            listener.drain()


def test_transactions_see_each_command() -> None:
    same(["MULTI", "HSET h a 1", "HINCRBY h a 2", "HGETALL h", "HDEL h a", "HGET h a", "EXEC"])


_keys = st.sampled_from(["h", "g"])
_fields = st.sampled_from(["a", "b", "c", "1", ""])
_values = st.sampled_from(["", "x", "1", "-7", "1.5", "9223372036854775807", "5e3", " 1"])
_numbers = st.sampled_from(["1", "-1", "0", "9223372036854775807", "x", "1.5"])
_commands: st.SearchStrategy[AnyCommand] = st.one_of(
    st.tuples(st.sampled_from(["HSET", "HMSET", "HSETNX"]), _keys, _fields, _values),
    st.tuples(st.just("HSET"), _keys, _fields, _values, _fields, _values),
    st.tuples(st.sampled_from(["HGET", "HEXISTS", "HSTRLEN", "HDEL"]), _keys, _fields),
    st.tuples(st.sampled_from(["HMGET", "HDEL"]), _keys, _fields, _fields),
    st.tuples(st.sampled_from(["HGETALL", "HKEYS", "HVALS", "HLEN", "DEL"]), _keys),
    st.tuples(st.sampled_from(["HINCRBY", "HINCRBYFLOAT"]), _keys, _fields, _numbers),
    st.tuples(st.just("HSCAN"), _keys, st.just("0")),
    st.tuples(st.just("SET"), _keys, _values),
)


@examples(40)
@given(st.lists(_commands, max_size=25))
def test_generated(script: list[AnyCommand]) -> None:
    agree(script)
