"""Counts at the edges of their range, where redis-server has little to send."""

import pytest

from tests.oracle.harness import AnyCommand, pair, requires, same

pytestmark = requires("8.10")

EDGES = ["9223372036854775807", "4611686018427387903", "4611686018427387904", "9223372036854775808"]
PICKS = ["SRANDMEMBER {} {}", "HRANDFIELD {} {}", "HRANDFIELD {} {} WITHVALUES", "ZRANDMEMBER {} {}",
         "ZRANDMEMBER {} {} WITHSCORES"]  # fmt: skip


@pytest.mark.parametrize("pick", PICKS)
def test_picks(pick: str) -> None:
    """Of nothing any number can be picked; of the wrong type, none."""
    script: list[AnyCommand] = ["SADD t a", "HSET h a 1", "ZADD z 1 a", "SET s v"]
    own = {"S": "t", "H": "h", "Z": "z"}[pick[0]]
    for edge in [*EDGES, "3000000", "x", "''"]:
        script += [pick.format("none", edge), pick.format(own, edge), pick.format("s", edge)]
        script += [pick.format("none", "-" + edge), pick.format("s", "-" + edge)] if edge.isdigit() else []
    script += [pick.format(own, "-9223372036854775808"), pick.format(own, "-9223372036854775809")]
    same(script)


def test_long_strings_have_no_common_subsequence() -> None:
    same(
        [
            "SETBIT long 8000000 1",
            "SETRANGE longer 1000000 x",
            *(f"LCS long longer {options}" for options in ("", "LEN", "IDX", "LEN IDX", "NONE", "IDX MINMATCHLEN x")),
            "LCS long none LEN",
            "RPUSH l a",
            "LCS long l",
        ]
    )


def test_a_key_named_twice_expires_in_between() -> None:
    """MSETEX with a time of the past: the second value finds the first one expired."""
    with pair(cleanup=["CONFIG SET notify-keyspace-events ''", "DEBUG SET-ACTIVE-EXPIRE 1"]) as p:
        listener, client = p.client(2), p.client(3)
        client.do("DEBUG SET-ACTIVE-EXPIRE 0")
        listener.do("PSUBSCRIBE __key*@*__:*")
        client.do("CONFIG SET notify-keyspace-events KEAnoc")
        client.do("MSETEX 3 a 1 a 2 a 3 PXAT 1")
        client.do("EXISTS a")
        listener.drain()
