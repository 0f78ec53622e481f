"""The number of nodes in Redis's radix tree for a set of stream IDs (XINFO STREAM's radix-tree-nodes).

The tree is compressed: there is one node for each position where keys diverge, and one for each run of bytes
between two such positions or up to the end of a key. Keys are 16 bytes; values are in their last node's slots
(Redis 8.10), so leaves need no extra node.
"""

from itertools import pairwise

_KEY = 16


def _shared_prefix(a: int, b: int) -> int:
    """Returns how many leading bytes two 128-bit keys share."""
    return _KEY - ((a ^ b).bit_length() + 7) // 8


def radix_nodes(keys: list[int]) -> int:
    """Returns the number of tree nodes for ascending 128-bit keys."""
    if len(keys) < 2:
        return 1
    prefixes = [_shared_prefix(a, b) for a, b in pairwise(keys)]
    # The depths at which keys diverge on the path to the last key; a run leads to each that does not directly
    # follow the one above it.
    nodes = 0
    path: list[int] = []
    for depth in [*prefixes, -1]:
        while path and path[-1] > depth:
            place = path.pop()
            above = max(path[-1] if path else -1, depth)
            nodes += 1 + (place > above + 1)
        if not path or path[-1] < depth:
            path.append(depth)
    # A run of bytes remains of a key that diverges from both neighbours before its last byte.
    return nodes + sum(max(a, b) < _KEY - 1 for a, b in zip([-1, *prefixes], [*prefixes, -1], strict=True))
