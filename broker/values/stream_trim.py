"""Trimming a stream from its head, by length or by ID, exactly or approximately.

Approximate trimming removes whole nodes only and stops after `limit` entries, so it depends on where nodes
end; those are redis-server's (stream_node.py). Source of all rules: streamTrim() in Redis 8.10.
"""

from enum import Enum

from .stream import Stream
from .stream_node import StreamNode


class References(Enum):
    """What becomes of consumer groups' references to a deleted entry: they stay, they go too, or the entry
    stays until every group has read and acknowledged it."""

    KEEP = "KEEPREF"
    DELETE = "DELREF"
    ACKED = "ACKED"


def trim_by_length(
    stream: Stream,
    length: int,
    approximate: bool = False,
    limit: int = 0,
    references: References = References.KEEP,
) -> int:
    """Remove the first entries until `length` are left; the number removed. `limit` 0 is none."""
    excess = stream.length - length
    if excess <= 0:
        return 0
    if approximate and references is References.KEEP:
        # The usual end of XADD MAXLEN ~: the first node is still needed.
        node = stream.node_at(0)
        if node is not None and excess < len(node):
            return 0
    return _trim(stream, length, None, approximate, limit, references)


def trim_by_id(
    stream: Stream,
    lowest: int,
    approximate: bool = False,
    limit: int = 0,
    references: References = References.KEEP,
) -> int:
    """Remove the entries below the ID `lowest`; the number removed. `limit` 0 is none."""
    return _trim(stream, 0, lowest, approximate, limit, references)


def _trim(
    stream: Stream, length: int, lowest: int | None, approximate: bool, limit: int, references: References
) -> int:
    removed = 0
    keep = references is References.KEEP
    # Nodes at the head that stay, because of entries that the policy protects, are passed over.
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
            stream.drop_node(passed)
            stream.length -= entries
            removed += entries
            continue
        if approximate and keep:
            break
        gone = (
            _trim_head(stream, node, length, lowest)
            if keep
            else _trim_entries(stream, node, length, lowest, references)
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


def _trim_head(stream: Stream, node: StreamNode, length: int, lowest: int | None) -> int:
    """Remove the first entries of the node that are too many or too low."""
    gone = stream.length - length if lowest is None else node.upper(lowest - 1) - node.lo
    if gone:
        node.trim(gone)
        stream.length -= gone
    return gone


def _trim_entries(stream: Stream, node: StreamNode, length: int, lowest: int | None, references: References) -> int:
    """The same, one by one, as the policy on references allows."""
    gone = 0
    for id in node.ids(node.lo, len(node.keys)):
        if stream.length <= length if lowest is None else id >= lowest:
            break
        if references is References.ACKED:
            if stream.is_referenced(id):
                continue
        else:
            stream.remove_references(id)
        node.delete(node.upper(id) - 1)
        stream.length -= 1
        gone += 1
    return gone
