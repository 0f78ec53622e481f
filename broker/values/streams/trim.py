"""Trimming a stream from its head, by length or by ID, exactly or approximately.

Approximate trimming removes whole nodes only and stops after `limit` entries, so it depends on the boundaries of
nodes, which are the same as in redis-server (node.py). Source of all rules: streamTrim() in Redis 8.10.
"""

from enum import Enum

from broker.values.streams.node import StreamNode
from broker.values.streams.stream import Stream

# Redis bounds the work of an approximate trim to 100 full nodes, or to this many entries if nodes have no limit.
_NODES_A_TRIM = 100
_LIMIT_WITHOUT_NODES = 10_000
_HIGHEST_LIMIT = 1_000_000


class References(Enum):
    """What happens to consumer groups' references to a deleted entry.

    They stay, or they go too, or the entry stays until every group has read and acknowledged it.
    """

    KEEP = "KEEPREF"
    DELETE = "DELREF"
    ACKED = "ACKED"


class Removal:
    """What a trim removed entry by entry, under a policy other than KEEP.

    `ids` are the IDs in order; `references` has the IDs that are no longer pending, by group.
    """

    __slots__ = ("ids", "references")

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.references: dict[bytes, list[int]] = {}


def trim_by_length(
    stream: Stream,
    length: int,
    approximate: bool = False,
    limit: int | None = None,
    references: References = References.KEEP,
    removal: Removal | None = None,
) -> int:
    """Removes the first entries until `length` are left; returns the number removed.

    An approximate trim stops before it removes more than `limit` entries (0: no limit; None: Redis's own bound).
    `removal` takes down what went, for a policy other than KEEP.
    """
    excess = stream.length - length
    if excess <= 0:
        return 0
    if approximate and references is References.KEEP:
        # The usual outcome of XADD MAXLEN ~: the first node is still needed.
        node = stream.node_at(0)
        if node is not None and excess < len(node):
            return 0
    return _trim(stream, length, None, approximate, limit, references, removal)


def trim_by_id(
    stream: Stream,
    lowest: int,
    approximate: bool = False,
    limit: int | None = None,
    references: References = References.KEEP,
    removal: Removal | None = None,
) -> int:
    """Removes the entries below the ID `lowest`; returns the number removed.

    An approximate trim stops before it removes more than `limit` entries (0: no limit; None: Redis's own bound).
    `removal` takes down what went, for a policy other than KEEP.
    """
    return _trim(stream, 0, lowest, approximate, limit, references, removal)


def trim_by_bytes(stream: Stream, size: int) -> int:
    """Removes the first entries of a measured stream until they take no more than `size` bytes; returns the number.

    The newest one stays, whatever it takes.
    """
    if stream.measured <= size or stream.length < 2:
        return 0
    # What is not measured yet precedes what is too much already.
    before = trim_by_id(stream, stream.measured_from) if stream.measured_from else 0
    excess = stream.measured - size
    count = 0
    for node in stream.nodes():
        begin, end = node.lo, len(node.keys)
        # Usually one entry has to go; measuring all of its node would take 8 us.
        if begin < end and excess >= node.size(begin, begin + 1) * (end - begin):
            taken = node.size(begin, end)
            if taken <= excess:
                excess -= taken
                count += end - begin
                begin = end
        for position in range(begin, end):
            if excess <= 0:
                break
            excess -= node.size(position, position + 1)
            count += 1
        if excess <= 0:
            break
    return before + trim_by_length(stream, max(stream.length - count, 1))


def trim_effect(key: bytes, stream: Stream) -> list[bytes]:
    """Returns the exact XTRIM that leaves as many entries as there are now.

    It trims by length whatever the strategy was: under ACKED, entries that stayed may precede removed ones.
    """
    return [b"XTRIM", key, b"MAXLEN", b"=", b"%d" % stream.length]


def _trim(
    stream: Stream,
    length: int,
    lowest: int | None,
    approximate: bool,
    limit: int | None,
    references: References,
    removal: Removal | None,
) -> int:
    if limit is None:
        limit = _default_limit(stream) if approximate else 0
    removed = 0
    keep = references is References.KEEP
    # Skips nodes at the head that stay because the policy protects some of their entries.
    passed = 0
    while True:
        node = stream.node_at(passed)
        if node is None or (lowest is None and stream.length <= length):
            break
        entries = len(node)
        if limit and removed + entries > limit:
            break
        whole = stream.length - entries >= length if lowest is None else node.last_id() < lowest
        if whole and keep:
            stream.uncount(node, node.lo, len(node.keys))
            stream.drop_node(passed)
            stream.length -= entries
            removed += entries
            continue
        if approximate and keep:
            break
        gone = (
            _trim_head(stream, node, length, lowest)
            if keep
            else _trim_entries(stream, node, length, lowest, references, removal)
        )
        removed += gone
        if not whole:
            break
        if gone == entries:
            stream.drop_node(passed)
        else:
            passed += 1
    if removed or not stream.length:
        stream.refresh_first_id()
    return removed


def _default_limit(stream: Stream) -> int:
    limit = _NODES_A_TRIM * stream.limits.stream_node_max_entries
    return min(limit, _HIGHEST_LIMIT) if limit > 0 else _LIMIT_WITHOUT_NODES


def _trim_head(stream: Stream, node: StreamNode, length: int, lowest: int | None) -> int:
    """Removes the first entries of the node that exceed the length or are below the ID."""
    gone = stream.length - length if lowest is None else node.upper(lowest - 1) - node.lo
    if gone:
        stream.uncount(node, node.lo, node.lo + gone)
        node.trim(gone)
        stream.length -= gone
    return gone


def _trim_entries(
    stream: Stream,
    node: StreamNode,
    length: int,
    lowest: int | None,
    references: References,
    removal: Removal | None,
) -> int:
    """Does the same entry by entry, as far as the policy on references allows."""
    gone = 0
    for id in node.ids(node.lo, len(node.keys)):
        if stream.length <= length if lowest is None else id >= lowest:
            break
        if references is References.ACKED:
            if stream.is_referenced(id):
                continue
        else:
            stream.remove_references(id, None if removal is None else removal.references)
        position = node.upper(id) - 1
        stream.uncount(node, position, position + 1)
        node.delete(position)
        stream.length -= 1
        gone += 1
        if removal is not None:
            removal.ids.append(id)
    return gone
