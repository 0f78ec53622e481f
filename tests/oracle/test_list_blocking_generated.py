"""Waiting for lists against the reference: generated clients that block, and one that writes."""

from hypothesis import given
from hypothesis import strategies as st

from tests.oracle.harness import examples, pair, requires

KEYS = st.sampled_from("kdx")
ENDS = st.sampled_from(["LEFT", "RIGHT"])
BLOCKING = st.one_of(
    st.builds("BLPOP {} {} 0".format, KEYS, KEYS),
    st.builds("BRPOP {} 0".format, KEYS),
    st.builds("BLMPOP 0 2 {} {} {} COUNT 2".format, KEYS, KEYS, ENDS),
    st.builds("BLMOVE {} {} {} {} 0".format, KEYS, KEYS, ENDS, ENDS),
    st.builds("BRPOPLPUSH {} {} 0".format, KEYS, KEYS),
)
MOVING_SEVERAL = st.one_of(
    BLOCKING,
    st.builds("BLMOVEM {} {} {} {} 0 EXACTLY {} {}".format, KEYS, KEYS, ENDS, ENDS, st.integers(1, 3),
              st.sampled_from(["OBO", "BULK"])),
    st.builds("BLMOVEM {} {} {} {} 0 COUNT 2 BULK".format, KEYS, KEYS, ENDS, ENDS),
)  # fmt: skip
WRITES = st.one_of(
    st.builds("RPUSH {} {}".format, KEYS, st.sampled_from(["a", "b c", "d e f"])),
    st.builds("LPUSH {} {}".format, KEYS, st.sampled_from(["a", "b c", "d e f"])),
    st.builds("LMOVE {} {} LEFT RIGHT".format, KEYS, KEYS),
    st.builds("LPOP {}".format, KEYS),
    st.builds("RENAME {} {}".format, KEYS, KEYS),
    st.builds("DEL {}".format, KEYS),
)
TRANSACTIONS = st.lists(WRITES, min_size=1, max_size=4)
CLIENTS = 4


def _run(steps: list[tuple[int, str] | list[str]]) -> None:
    """A number and a command: that client sends it if it is not blocked; a list: written in a transaction."""
    with pair() as p:
        clients, writer = [p.client() for _ in range(CLIENTS)], p.client()
        busy: set[int] = set()
        for step in steps:
            if isinstance(step, list):
                for command in ["MULTI", *step, "EXEC"] if len(step) > 1 else step:
                    writer.do(command)
            elif step[0] not in busy:
                busy.add(step[0])
                clients[step[0]].send(step[1])
            p.settle()
            for n in sorted(busy):
                if clients[n].drain():
                    busy.discard(n)
        for key in "kdx":
            writer.do(f"LRANGE {key} 0 -1")


@examples(40)
@given(st.lists(st.one_of(st.tuples(st.integers(0, CLIENTS - 1), BLOCKING), TRANSACTIONS), max_size=14))
def test_any_clients(steps: list[tuple[int, str] | list[str]]) -> None:
    _run(steps)


@requires("8.10")
@examples(40)
@given(st.lists(st.one_of(st.tuples(st.integers(0, CLIENTS - 1), MOVING_SEVERAL), TRANSACTIONS), max_size=14))
def test_any_clients_that_move_several(steps: list[tuple[int, str] | list[str]]) -> None:
    _run(steps)
