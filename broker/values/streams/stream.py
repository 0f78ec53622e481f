"""A stream: an append-only log of entries in nodes, with its counters and its consumer groups.

Nodes and their first IDs are in two parallel lists, so that finding an ID takes one bisection over nodes and
one within a node. Trimming the head moves an offset and cuts the lists now and then: its cost depends on what it
removes, not on what remains. Streams have no clock: callers pass times in milliseconds.

All behaviour that clients can see (counters, lag, which entries an approximate trim removes) follows
t_stream.c in Redis 8.10.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import ClassVar, Final

from broker.values.listpack_size import EMPTY_LISTPACK, element_size, integer_size, wrapped_integer_size
from broker.values.streams.entry import encode_added
from broker.values.streams.group import Group
from broker.values.streams.idempotency import Producers
from broker.values.streams.ids import MAX_ID
from broker.values.streams.limits import DefaultStreamLimits, StreamLimits
from broker.values.streams.node import StreamNode
from broker.values.streams.radix import radix_nodes

MAX_ENTRY = 1 << 30
"""Maximum bytes of all fields and values of one entry (Redis's STREAM_LISTPACK_MAX_SIZE)."""

MAX_COUNTER: Final = (1 << 63) - 1
_SMALL: Final = 1 << 60
_MEMORY_SAMPLES: Final = 32

_RADIX_KEYS = 10_000
"""Nodes whose IDs are used to count radix tree nodes, which takes 5 ms. A million entries have that many."""

_NO_NAMES: Final[list[bytes]] = [b""]
"""Any names, where there is no node yet."""

UNKNOWN: Final = -1
"""The value of an unknown `entries_read` counter."""


class EntryTooLarge(ValueError):
    """The fields of an entry are longer than MAX_ENTRY."""


class Stream:
    """Attributes are public, and read-only for others unless a docstring says otherwise.

    `first_id` is the lowest live ID (0 in an empty stream), `last_id` the highest ever assigned,
    `max_deleted_id` the highest ID that XDEL and its relatives removed (trimming doesn't count), `entries_added`
    the number of entries ever added. Loading and XSETID set the last three. `measured` is the number of bytes of the
    entries from the ID `measured_from` on, as clients read them; UNKNOWN until they are counted (measuring.py).
    """

    type_name: ClassVar = "stream"

    __slots__ = (
        "_first_ids", "_head", "_nodes", "_radix_nodes", "_tail", "entries_added", "first_id", "groups", "idempotency",
        "last_id", "length", "limits", "max_deleted_id", "measured", "measured_from",
    )  # fmt: skip

    def __init__(self, limits: StreamLimits | None = None) -> None:
        self.limits = limits if limits is not None else DefaultStreamLimits()
        self.length = self.entries_added = 0
        self.first_id = self.last_id = self.max_deleted_id = 0
        self.measured = UNKNOWN
        self.measured_from = 0
        self.groups: dict[bytes, Group] = {}
        self.idempotency = Producers(self.limits.stream_idmp_duration, self.limits.stream_idmp_maxsize)
        self._nodes: list[StreamNode] = []
        self._first_ids: list[int] = []
        self._head = 0
        self._tail: StreamNode | None = None
        self._radix_nodes: tuple[tuple[int, int, int], int] | None = None

    def __len__(self) -> int:
        return self.length

    def __bool__(self) -> bool:
        return True

    # -- adding

    def append(self, id: int, fields: list[bytes]) -> bytes:
        """Adds an entry; `fields` are alternating names and values. Returns the ID encoded as a bulk string.

        `id` must be above `last_id` and at most MAX_ID. Raises EntryTooLarge.
        """
        node = self._tail
        id_bulk, entry, raw, size, ms, seq = encode_added(id, fields, _NO_NAMES if node is None else node.names)
        if node is None or raw >= node.space or not node.room:
            node = self._start_node(id, fields[::2], raw)
            size = encode_added(id, fields, node.names)[3]
        # The rest would belong in StreamNode, but is inlined here to save a call.
        delta = ms - node.ms
        step = seq - node.seq
        if 0 <= delta | step < 128:
            node.keys.append(delta << node.shift | seq)
            node.space -= size + 8
        else:
            node.append_key(delta, seq)
            node.space -= size + 4 + wrapped_integer_size(delta) + wrapped_integer_size(step)
        node.texts.append(entry)  # type: ignore[union-attr]
        node.room -= 1
        if self.measured >= 0:
            self.measured += len(entry)
        self.last_id = id
        self.length += 1
        if self.length == 1:
            self.first_id = id
        # The first comparison is the faster one in compiled code.
        if self.entries_added < _SMALL or self.entries_added < MAX_COUNTER:
            self.entries_added += 1
        return id_bulk

    def append_run(self, id: int, entries: list[list[bytes]], start: int) -> int:
        """Adds entries from position `start` on as `append` does, with consecutive IDs from `id` on, up to MAX_ID.

        Returns how many, at least one: those that fit in a node, in a third of the time. Raises EntryTooLarge.
        """
        texts = [] if self._tail is None else self._tail.fill(id, entries, start)
        if not texts:
            self.append(id, entries[start])
            return 1
        if self.measured >= 0:
            self.measured += sum(map(len, texts))
        self.first_id = self.first_id if self.length else id
        self.length += len(texts)
        self.last_id = id + len(texts) - 1
        self.entries_added = min(self.entries_added + len(texts), MAX_COUNTER)
        return len(texts)

    def _start_node(self, id: int, names: list[bytes], raw: int) -> StreamNode:
        if raw > MAX_ENTRY:
            raise EntryTooLarge
        if self._tail is not None:
            self._tail.seal()
            if self._tail.names == names:
                names = self._tail.names
        limits = self.limits
        # Redis's header: entries, deleted entries, field count, field names, a zero.
        size = EMPTY_LISTPACK + 6 + integer_size(len(names)) + sum(map(element_size, names))
        limit = limits.stream_node_max_bytes
        space = (limit if 0 < limit < MAX_ENTRY else MAX_ENTRY) - size
        node = StreamNode(id, names, space, limits.stream_node_max_entries or MAX_COUNTER)
        self._nodes.append(node)
        self._first_ids.append(id)
        self._tail = node
        return node

    # -- reading

    def _seek(self, id: int) -> tuple[int, int]:
        """Returns the node, and the position in it, of the first entry whose ID is above `id`."""
        index = bisect_right(self._first_ids, id, self._head) - 1
        if index < self._head:
            if self._head == len(self._nodes):
                return self._head, 0
            return self._head, self._nodes[self._head].lo
        return index, self._nodes[index].upper(id)

    def _spans(self, start: int, end: int) -> Iterator[tuple[StreamNode, int, int]]:
        """Yields the runs of entries from `start` to `end`, one per node, in order."""
        first, position = self._seek(start - 1)
        nodes = self._nodes
        for index in range(first, len(nodes)):
            node = nodes[index]
            if end >= self.last_id or (index + 1 < len(nodes) and self._first_ids[index + 1] <= end):
                stop = len(node.keys)
            else:
                stop = node.upper(end)
                if node.first > end:
                    return
            begin = position if position > node.lo else node.lo
            position = 0
            if stop > begin:
                yield node, begin, stop

    def range(self, start: int, end: int, count: int = 0) -> tuple[int, bytes]:
        """Returns the number of entries from `start` to `end`, at most `count` (0: all), and their joined encodings."""
        if count > 0 and end >= self.last_id and self._tail is not None:
            # The part in one node needs no generator, which halves the cost.
            index, begin = self._seek(start - 1)
            node = self._nodes[index]
            if count <= len(node.keys) - begin:
                return count, node.text(begin, begin + count)
        found = 0
        parts = []
        for node, begin, stop in self._spans(start, end):
            if count and stop - begin > count - found:
                stop = begin + count - found
            parts.append(node.text(begin, stop))
            found += stop - begin
            if found == count:
                break
        return found, parts[0] if len(parts) == 1 else b"".join(parts)

    def reverse_range(self, start: int, end: int, count: int = 0) -> tuple[int, bytes]:
        """Returns the same from `end` down to `start`."""
        parts: list[bytes] = []
        for node, begin, stop in self._reverse_spans(start, end):
            if count and stop - begin > count - len(parts):
                begin = stop - (count - len(parts))
            texts = node.entry_texts(begin, stop)
            texts.reverse()
            parts += texts
            if len(parts) == count:
                break
        return len(parts), b"".join(parts)

    def _reverse_spans(self, start: int, end: int) -> Iterator[tuple[StreamNode, int, int]]:
        """Yields the runs of entries from `end` down to `start`, one per node; each run in ascending order."""
        index, stop = self._seek(end)
        while self._head <= index < len(self._nodes):
            node = self._nodes[index]
            begin = node.upper(start - 1)
            if stop > begin:
                yield node, begin, stop
            if node.first <= start:
                return
            index -= 1
            stop = len(self._nodes[index].keys)

    def read_after(self, after: int, count: int = 0) -> tuple[list[int], bytes]:
        """Returns the IDs of the entries above ID `after`, at most `count` (0: all), and their joined encodings."""
        if after >= self.last_id:
            return [], b""
        # The rest of the last node, or part of one other node, needs no generator, which halves the cost.
        node = self._tail
        if node is not None:
            if after >= node.first:
                begin, stop = node.upper(after), len(node.keys)
            else:
                index, begin = self._seek(after)
                node = self._nodes[index]
                stop = begin + count if 0 < count <= len(node.keys) - begin else begin
            if 0 < count < stop - begin:
                stop = begin + count
            if stop > begin:
                return node.ids(begin, stop), node.text(begin, stop)
        ids: list[int] = []
        parts = []
        for node, begin, stop in self._spans(after + 1, MAX_ID):
            if count and stop - begin > count - len(ids):
                stop = begin + count - len(ids)
            parts.append(node.text(begin, stop))
            ids += node.ids(begin, stop)
            if len(ids) == count:
                break
        return ids, parts[0] if len(parts) == 1 else b"".join(parts)

    def entries(self, start: int = 0, end: int = MAX_ID) -> Iterator[tuple[int, bytes]]:
        """Yields the IDs and encodings of the entries from `start` to `end`, one by one.

        The stream must not change meanwhile.
        """
        for node, begin, stop in self._spans(start, end):
            yield from zip(node.ids(begin, stop), node.entry_texts(begin, stop), strict=True)

    def next_entries(self, after: int, count: int) -> list[tuple[int, bytes]]:
        """Returns the IDs and encodings of the next entries above ID `after`: at most `count`, but one if there is any.

        They are from one node, so there may be more.
        """
        for node, begin, stop in self._spans(after + 1, MAX_ID):
            stop = min(stop, begin + count)
            return list(zip(node.ids(begin, stop), node.entry_texts(begin, stop), strict=True))
        return []

    def nodes(self) -> Iterator[StreamNode]:
        """Yields the nodes in order, for saving; some may have no live entry."""
        for index in range(self._head, len(self._nodes)):
            yield self._nodes[index]

    def _find(self, id: int) -> tuple[int, int]:
        """Returns the node and position of the entry `id`, (-1, -1) if there is none."""
        index = bisect_right(self._first_ids, id, self._head) - 1
        if index < self._head:
            return -1, -1
        node = self._nodes[index]
        position = node.upper(id) - 1
        if position < node.lo or node.id_at(position) != id:
            return -1, -1
        return index, position

    def __contains__(self, id: int) -> bool:
        return self._find(id)[0] >= 0

    def entry(self, id: int) -> bytes | None:
        """Returns the encoding of one entry."""
        index, position = self._find(id)
        return None if index < 0 else self._nodes[index].text(position, position + 1)

    def top_id(self) -> int:
        """Returns the highest live ID, 0 in an empty stream. It is not `last_id` if the last entry was deleted."""
        for index in range(len(self._nodes) - 1, self._head - 1, -1):
            node = self._nodes[index]
            if len(node):
                return node.id_at(len(node.keys) - 1)
        return 0

    # -- removing

    def delete(self, id: int) -> bool:
        """Removes one entry as XDEL does and updates the counters; returns whether there was one."""
        index, position = self._find(id)
        if index < 0:
            return False
        node = self._nodes[index]
        self.uncount(node, position, position + 1)
        if len(node) == 1:
            self.drop_node(index - self._head)
        else:
            node.delete(position)
        self.length -= 1
        self.max_deleted_id = max(self.max_deleted_id, id)
        if id == self.first_id:
            self.refresh_first_id()
        return True

    def uncount(self, node: StreamNode, start: int, end: int) -> None:
        """Takes the entries at these positions of a node, which are about to be removed, off what is `measured`."""
        if self.measured >= 0:
            if self.measured_from:
                start = max(start, node.upper(self.measured_from - 1))
            self.measured -= node.size(start, max(start, end))

    def node_at(self, position: int) -> StreamNode | None:
        """Returns the node at `position`, counted from the head; None past the last."""
        index = self._head + position
        return self._nodes[index] if index < len(self._nodes) else None

    def drop_node(self, position: int) -> None:
        """Removes a whole node, counted from the head.

        For trimming, which adjusts `length` itself and calls `refresh_first_id` at the end.
        """
        if not position:
            self._drop_head()
            return
        index = self._head + position
        del self._nodes[index]
        del self._first_ids[index]
        self._radix_nodes = None
        self._tail = self._nodes[-1]
        self._tail.unseal()

    def _drop_head(self) -> None:
        self._head = head = self._head + 1
        if head == len(self._nodes):
            self._nodes.clear()
            self._first_ids.clear()
            self._head = 0
            self._tail = None
        elif head >= 64 and head * 2 >= len(self._nodes):
            del self._nodes[:head]
            del self._first_ids[:head]
            self._head = 0
        else:
            self._nodes[head - 1] = _DROPPED

    def refresh_first_id(self) -> None:
        """Updates `first_id`."""
        self.first_id = 0
        if self.length:
            for index in range(self._head, len(self._nodes)):
                node = self._nodes[index]
                if len(node):
                    self.first_id = node.id_at(node.lo)
                    return

    def restore_nodes(self, nodes: list[StreamNode]) -> None:
        """Fills an empty stream with a saved file's nodes: sealed ones, none empty, in the order of their IDs.

        Sets `first_id` and `last_id`; the caller sets `entries_added` and `max_deleted_id`.
        """
        self._nodes = nodes
        self._first_ids = [node.first for node in nodes]
        self.length = sum(map(len, nodes))
        self._tail = nodes[-1]
        self._tail.unseal()
        self.first_id = nodes[0].id_at(nodes[0].lo)
        self.last_id = self.top_id()

    # -- what Redis reports of a stream

    def node_count(self) -> int:
        """Returns the number of nodes: XINFO's radix-tree-keys."""
        return len(self._nodes) - self._head

    def radix_node_count(self) -> int:
        """Returns XINFO's radix-tree-nodes: the number of nodes in Redis's radix tree over the first IDs of our nodes.

        It is exact as long as only nodes at the head were dropped; afterwards Redis's tree may have a few more, which
        it doesn't merge. In very long streams it is extrapolated from the last part.
        """
        keys = self._first_ids[max(self._head, len(self._first_ids) - _RADIX_KEYS) :]
        if not keys:
            return 1
        count = len(self._first_ids) - self._head
        version = (keys[0], keys[-1], count)
        if self._radix_nodes is None or self._radix_nodes[0] != version:
            self._radix_nodes = (version, radix_nodes(keys) * count // len(keys))
        return self._radix_nodes[1]

    def has_tombstones_from(self, id: int) -> bool:
        """Whether an entry at or above `id` was deleted, as far as `max_deleted_id` shows."""
        return self.length > 0 and self.max_deleted_id > 0 and id <= self.max_deleted_id

    def logical_position(self, id: int) -> int:
        """Returns how many entries had ever been added up to and including `id`, or UNKNOWN.

        Source: streamEstimateDistanceFromFirstEverEntry().
        """
        if not self.entries_added:
            return 0
        if id == self.last_id or (not self.length and id < self.last_id):
            return self.entries_added
        if id and id < self.max_deleted_id:
            return UNKNOWN
        if id > self.last_id:
            return UNKNOWN
        if not self.max_deleted_id or self.max_deleted_id < self.first_id:
            if id < self.first_id:
                return self.entries_added - self.length
            if id == self.first_id:
                return self.entries_added - self.length + 1
        return UNKNOWN

    def lag(self, group: Group) -> int | None:
        """Returns the number of entries not yet delivered to a group; None if deletions make it unknown.

        Source: streamReplyWithCGLag().
        """
        if not self.entries_added or not self.length:
            return 0
        if group.last_id < self.first_id and self.max_deleted_id < self.first_id:
            return self.length
        if group.entries_read != UNKNOWN and not self.has_tombstones_from(group.last_id):
            return self.entries_added - group.entries_read
        position = self.logical_position(group.last_id)
        return None if position == UNKNOWN else self.entries_added - position

    def advance(self, group: Group, ids: list[int]) -> None:
        """Moves a group past `ids`, ascending entries of the stream above its `last_id`, and counts them as read."""
        known, last = group.entries_read, group.last_id
        if known != UNKNOWN and last >= self.first_id and not (self.max_deleted_id and last <= self.max_deleted_id):
            known += len(ids)
        else:
            for id in ids:
                if known != UNKNOWN and last >= self.first_id and not self.has_tombstones_from(last):
                    known += 1
                elif self.entries_added:
                    known = self.logical_position(id)
                last = id
        group.entries_read = known
        group.last_id = ids[-1]

    def is_referenced(self, id: int) -> bool:
        """Whether any group has yet to read or acknowledge the entry."""
        return any(group.last_id < id or id in group.pel for group in self.groups.values())

    def remove_references(self, id: int, removed: dict[bytes, list[int]] | None = None) -> int:
        """Removes an entry from every group's pending entries; returns the number of groups that had it.

        `removed` gets the ID, under the name of each group that had it.
        """
        count = 0
        for name, group in self.groups.items():
            if group.acknowledge(id):
                count += 1
                if removed is not None:
                    removed.setdefault(name, []).append(id)
        return count

    # -- whole

    def copy(self) -> "Stream":
        """Returns a stream with the same content that shares nothing mutable."""
        other = Stream(self.limits)
        other.length, other.entries_added = self.length, self.entries_added
        other.first_id, other.last_id, other.max_deleted_id = self.first_id, self.last_id, self.max_deleted_id
        other._nodes = [node.copy() for node in self.nodes()]
        other._first_ids = self._first_ids[self._head :]
        other._tail = other._nodes[-1] if other._nodes else None
        other.idempotency = self.idempotency.copy()
        other.groups = {name: group.copy() for name, group in self.groups.items()}
        return other

    def memory(self) -> int:
        """Estimates the bytes in use from some of the nodes, closely enough for MEMORY USAGE and eviction."""
        count = self.node_count()
        step = max(count // _MEMORY_SAMPLES, 1)
        sample = self._nodes[self._head :: step]
        nodes = sum(node.memory() for node in sample) * count // max(len(sample), 1)
        groups = sum(group.memory() for group in self.groups.values())
        return 400 + 16 * count + nodes + self.idempotency.memory() + groups


_DROPPED = StreamNode(0, [], 0, 0)
"""Replaces a node dropped from the head until the list is cut."""
