"""The count of radix tree nodes against a tree that is really built."""

from hypothesis import given
from hypothesis import strategies as st

from broker.values.streams.radix import radix_nodes

PARTS = st.integers(0, 300) | st.sampled_from([2**16, 2**32, 2**64 - 1, 1526919030474])
KEYS = st.sets(st.builds(lambda ms, seq: ms << 64 | seq, PARTS, PARTS), max_size=40).map(sorted)


def count(keys: list[bytes], depth: int) -> int:
    """Nodes of the compressed tree of keys that agree up to `depth`."""
    if depth == 16:
        return 0
    end = depth
    while end < 16 and len({key[end] for key in keys}) == 1:
        end += 1
    run = 1 if end > depth else 0
    if end == 16:
        return run
    branches: dict[int, list[bytes]] = {}
    for key in keys:
        branches.setdefault(key[end], []).append(key)
    return run + 1 + sum(count(branch, end + 1) for branch in branches.values())


@given(KEYS)
def test_against_a_tree(keys: list[int]) -> None:
    assert radix_nodes(keys) == (count([key.to_bytes(16, "big") for key in keys], 0) if keys else 1)
