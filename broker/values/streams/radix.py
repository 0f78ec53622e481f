"""How many nodes Redis's radix tree has for a set of stream IDs (XINFO STREAM's radix-tree-nodes).

The tree is compressed: there is one node for each place where keys part, and one for each run of bytes
between two such places or up to the end of a key. Keys are 16 bytes; values stand in their last node's slots
(Redis 8.10), so leaves take no node of their own.
"""

from itertools import pairwise

_KEY = 16


def _shared_prefix(a: int, b: int) -> int:
    """How many leading bytes two 128-bit keys have in common."""
    return _KEY - ((a ^ b).bit_length() + 7) // 8


def radix_nodes(keys: list[int]) -> int:
    """The number of tree nodes for ascending 128-bit keys."""
    if len(keys) < 2:
        return 1
    prefixes = [_shared_prefix(a, b) for a, b in pairwise(keys)]
    # The places where keys part on the path to the last key, by depth; a run leads to each that doesn't
    # follow directly on the one above it.
    nodes = 0
    path: list[int] = []
    for depth in [*prefixes, -1]:
        while path and path[-1] > depth:
            place = path.pop()
            above = max(path[-1] if path else -1, depth)
            nodes += 1 + (place > above + 1)
        if not path or path[-1] < depth:
            path.append(depth)
    # A run of bytes is left of a key where it parts from its neighbours before its last byte.
    return nodes + sum(max(a, b) < _KEY - 1 for a, b in zip([-1, *prefixes], [*prefixes, -1], strict=True))
