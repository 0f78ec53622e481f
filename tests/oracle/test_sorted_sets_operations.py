"""Union, intersection and difference of sorted sets against redis-server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import AnyCommand, agree, examples, requires, same

_FILL = (
    "ZADD a 1 x 2 y 3 z inf i",
    "ZADD b 10 x 20 y -inf i 5 w",
    "SADD s x w 7",
    "SADD ints 1 2 7",
)


@pytest.mark.parametrize("operation", ["ZUNION", "ZINTER"])
@pytest.mark.parametrize("aggregate", ["", "AGGREGATE SUM", "AGGREGATE MIN", "aggregate max"])
@pytest.mark.parametrize("weights", ["", "WEIGHTS 2 3", "WEIGHTS 0 -1", "WEIGHTS inf -inf", "weights 1.5 1"])
def test_weights_and_aggregates(operation: str, aggregate: str, weights: str) -> None:
    same(
        [
            *_FILL,
            f"{operation} 2 a b {weights} {aggregate} WITHSCORES",
            f"{operation} 2 a b {aggregate} WITHSCORES {weights}",
            f"{operation} 2 b a {weights} {aggregate}",
            f"{operation} 2 a s {weights} {aggregate} WITHSCORES",
            f"{operation} 2 s ints {weights} {aggregate} WITHSCORES",
            f"{operation} 2 a none {weights} {aggregate} WITHSCORES",
            f"{operation} 2 a a {weights} {aggregate} WITHSCORES",
            f"{operation}STORE d 2 a b {weights} {aggregate}",
            "ZRANGE d 0 -1 WITHSCORES",
            f"{operation}STORE d 2 s b {aggregate} {weights}",
            "ZRANGE d 0 -1 WITHSCORES",
        ],
        state=True,
    )


@requires("8.8")
def test_aggregate_count() -> None:
    same(
        [
            *_FILL,
            "ZUNION 3 a b s AGGREGATE COUNT WITHSCORES",
            "ZUNION 3 a b s WEIGHTS 2 3 inf AGGREGATE COUNT WITHSCORES",
            "ZINTER 2 a b AGGREGATE COUNT WITHSCORES",
            "ZINTERSTORE d 2 a b WEIGHTS 2 -2 AGGREGATE COUNT",
            "ZRANGE d 0 -1 WITHSCORES",
        ],
        state=True,
    )


@pytest.mark.parametrize("operation", ["ZUNION", "ZINTER", "ZDIFF"])
def test_results_and_errors(operation: str) -> None:
    same(
        [
            *_FILL,
            f"{operation} 1 a",
            f"{operation} 1 a WITHSCORES",
            f"{operation} 1 s withscores",
            f"{operation} 2 a b WITHSCORES",
            f"{operation} 2 b a",
            f"{operation} 3 a b s",
            f"{operation} 3 a none b",
            f"{operation} 2 none a",
            f"{operation} 1 none",
            f"{operation} 2 a a",
            f"{operation} 0 a",
            f"{operation} -1 a",
            f"{operation} x a",
            f"{operation} 2 a",
            f"{operation} 3 a b",
            f"{operation} 1 a b",
            f"{operation} 1 a BAD",
            f"{operation} 1 a LIMIT 1",
            f"{operation} 2 a b WEIGHTS 1",
            f"{operation} 2 a b WEIGHTS 1 x",
            f"{operation} 2 a b WEIGHTS 1 nan",
            f"{operation} 2 a b WEIGHTS 1 2 3",
            f"{operation} 2 a b AGGREGATE",
            f"{operation} 2 a b AGGREGATE BAD",
            f"{operation} 2 a b AGGREGATE MIN AGGREGATE MAX WITHSCORES",
            f"{operation}STORE d 2 a b",
            "ZRANGE d 0 -1 WITHSCORES",
            "EXPIRE d 100",
            f"{operation}STORE d 1 a",
            "TTL d",
            f"{operation}STORE d 1 none",
            "EXISTS d",
            "SET d x",
            f"{operation}STORE d 1 none",
            "EXISTS d",
            "SET d x",
            f"{operation}STORE d 1 s",
            "TYPE d",
            f"{operation}STORE a 2 a b",
            "ZRANGE a 0 -1 WITHSCORES",
            f"{operation}STORE d 1 a WITHSCORES",
            f"{operation}STORE d 0 a",
            f"{operation}STORE d 2 a",
            f"{operation}STORE d x a",
            f"{operation}STORE d 1",
            f"{operation} 1",
        ],
        state=True,
    )


def test_count_of_intersection() -> None:
    same(
        [
            *_FILL,
            "ZINTERCARD 2 a b",
            "ZINTERCARD 1 a",
            "ZINTERCARD 2 a none",
            "ZINTERCARD 2 a s",
            "ZINTERCARD 2 a b LIMIT 0",
            "ZINTERCARD 2 a b LIMIT 1",
            "ZINTERCARD 2 a b limit 100",
            "ZINTERCARD 2 a b LIMIT 2 LIMIT 1",
            "ZINTERCARD 2 a b LIMIT -1",
            "ZINTERCARD 2 a b LIMIT x",
            "ZINTERCARD 2 a b LIMIT",
            "ZINTERCARD 2 a b WITHSCORES",
            "ZINTERCARD 2 a b WEIGHTS 1 2",
            "ZINTERCARD 0 a",
            "ZINTERCARD 3 a b",
            "ZINTERCARD x a",
            "ZINTERCARD 1",
        ]
    )


_keys = st.sampled_from(["a", "b", "c"])
_members = st.sampled_from(["x", "y", "1", "2"])
_scores = st.sampled_from(["1", "0.1", "0.2", "-3", "inf", "-inf", "1e17"])
_aggregates = st.sampled_from(["SUM", "MIN", "MAX"])
_commands: st.SearchStrategy[AnyCommand] = st.one_of(
    st.tuples(st.just("ZADD"), _keys, _scores, _members),
    st.tuples(st.sampled_from(["SADD", "ZREM", "SREM"]), _keys, _members),
    st.tuples(st.sampled_from(["ZUNION", "ZINTER", "ZDIFF"]), st.just("2"), _keys, _keys, st.just("WITHSCORES")),
    st.tuples(
        st.sampled_from(["ZUNIONSTORE", "ZINTERSTORE"]), _keys, st.just("2"), _keys, _keys,
        st.just("AGGREGATE"), _aggregates,
    ),
    st.tuples(
        st.sampled_from(["ZUNION", "ZINTER"]), st.just("2"), _keys, _keys, st.just("WEIGHTS"), _scores, _scores,
        st.just("WITHSCORES"),
    ),
    st.tuples(st.sampled_from(["ZDIFFSTORE"]), _keys, st.just("2"), _keys, _keys),
    st.tuples(st.just("DEL"), _keys),
)  # fmt: skip


@examples(50)
@given(st.lists(_commands, max_size=25))
def test_generated(script: list[AnyCommand]) -> None:
    agree(script)
