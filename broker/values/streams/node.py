"""A node: a run of up to about a hundred consecutive entries of a stream.

The last node of a stream collects entries as the bytes that clients read, `*2 <id> <fields>`, so that serving a
client that keeps up is one join. A full node is sealed: the values of all entries become one bytes object with an
array of ends (packed_fields.py), names are kept once, and entries are encoded again for each reader. That takes a
quarter of the memory (43 bytes instead of 190 for an entry of two short fields, as in redis-server), leaves the garbage
collector nothing to walk, and costs 30 ns per entry read (3.5 us without the compiled twin).

IDs take 8 bytes each, relative to the node's first millisecond; only IDs with a part that does not fit 32 bits
(in practice: chosen by hand) make a node fall back on Python integers. Nodes have the same boundaries as in
redis-server, because approximate trimming makes them visible.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator

from broker.values.streams.entry import encode_run, entry_prefix
from broker.values.streams.ids import MAX_PART
from broker.values.streams.narrow import LOW, NARROW, narrow_ids, narrow_upper
from broker.values.streams.packed_fields import fields_text, narrow_text, pack

WIDE = 64
"""NARROW and WIDE are the two kinds of keys, by the bits of their sequence number: those in an array, and those as
Python integers."""

_NO_ENDS: array[int] = array("I")
"""An open node's, which all share."""


class StreamNode:
    """Entries `lo` to the end of `keys`; those before `lo` are trimmed.

    `first` is the ID of the first entry ever written here, deleted or not, `ms` and `seq` its parts;
    `tombstone` is the highest deleted ID (0: none). `names` are the field names of the first entry. `space` and
    `room` are the bytes (as Redis's listpack counts them) and the entries that the node can still take; deletions
    do not increase them. A key is `(ms - node.ms) << shift | seq`.
    """

    __slots__ = (
        "_ends",
        "_packed",
        "first",
        "keys",
        "lo",
        "ms",
        "names",
        "room",
        "seq",
        "shift",
        "space",
        "texts",
        "tombstone",
    )

    def __init__(self, first: int, names: list[bytes], space: int, room: int) -> None:
        self.first = first
        self.ms = first >> 64
        self.seq = first & MAX_PART
        self.names = names
        self.space = space
        self.room = room
        self.tombstone = 0
        self.lo = 0
        self.keys: array[int] | list[int] = array("Q")
        self.texts: list[bytes] | None = []
        self.shift = NARROW
        self._packed = b""
        self._ends = _NO_ENDS
        if self.seq >> 31:
            # Wide from the start, so that small increments never exceed the 32 bits of a narrow key.
            self.keys = []
            self.shift = WIDE

    @classmethod
    def sealed(
        cls, first: int, names: list[bytes], keys: array[int] | list[int], shift: int, packed: bytes, ends: array[int]
    ) -> StreamNode:
        """Builds a sealed node from its parts, which takes no more entries; for loading.

        `packed` and `ends` are the entries' fields (see packed_fields.py), `shift` is the kind of the keys.
        """
        node = cls(first, names, 0, 0)
        node.keys, node.shift = keys, shift
        node._packed, node._ends = packed, ends
        node.texts = None
        return node

    def packed(self) -> tuple[bytes, array[int]]:
        """Returns the packed fields of all entries, including those before `lo`, and where each entry's end."""
        return (self._packed, self._ends) if self.texts is None else pack(self.texts, self.names)

    def __len__(self) -> int:
        return len(self.keys) - self.lo

    def append_key(self, delta: int, seq: int) -> None:
        """Adds the key of an entry; the caller adds its text to `texts`."""
        if (delta | seq) >> 32 and self.shift == NARROW:
            self.keys = [key >> 32 << 64 | key & LOW for key in self.keys]
            self.shift = WIDE
        self.keys.append(delta << self.shift | seq)

    def fill(self, id: int, entries: list[list[bytes]], start: int) -> list[bytes]:
        """Adds those entries from position `start` on that fit, with IDs from `id` on; returns their texts.

        It leaves entries to others if their IDs need keys of another kind, or don't have the same milliseconds.
        """
        room = min(self.room, len(entries) - start)
        delta, seq = (id >> 64) - self.ms, id & MAX_PART
        end = seq + room
        if self.texts is None or end > MAX_PART or (self.shift == NARROW and (delta | end) >> 32):
            return []
        texts, self.space = encode_run(id, entries, start, self.names, self.space, room, self.first)
        key = delta << self.shift | seq
        self.keys.extend(range(key, key + len(texts)))
        self.texts += texts
        self.room -= len(texts)
        return texts

    def seal(self) -> None:
        """Packs the entries; from now on there are only deletions."""
        texts = self.texts
        if texts is None:
            return
        self._packed, self._ends = pack(texts[self.lo :], self.names)
        # A copy has no room to grow in.
        self.keys = self.keys[self.lo :]
        self.lo = 0
        self.texts = None

    def unseal(self) -> None:
        """Unpacks the node, so that it can take entries again."""
        if self.texts is None:
            self.texts = self.entry_texts(self.lo, len(self.keys))
            del self.keys[: self.lo]
            self.lo = 0
            self._packed = b""
            self._ends = _NO_ENDS

    def upper(self, id: int) -> int:
        """Returns the position after the last entry whose ID is at most `id`."""
        if self.shift == NARROW:
            return narrow_upper(self.keys, self.lo, self.ms, id)
        delta = (id >> 64) - self.ms
        return self.lo if delta < 0 else bisect_right(self.keys, delta << WIDE | id & MAX_PART, self.lo)

    def id_at(self, position: int) -> int:
        key = self.keys[position]
        if self.shift == NARROW:
            return (self.ms + (key >> 32)) << 64 | key & LOW
        return key + (self.ms << 64)

    def ids(self, start: int, end: int) -> list[int]:
        """Returns the IDs at positions `start` to `end`."""
        if self.shift == NARROW:
            return narrow_ids(self.keys, start, end, self.ms)
        base = self.ms << 64
        return [base + key for key in self.keys[start:end]]

    def last_id(self) -> int:
        """Returns the highest ID ever written here, deleted or not."""
        if len(self.keys) > self.lo:
            last = self.id_at(len(self.keys) - 1)
            return last if last > self.tombstone else self.tombstone
        return self.tombstone

    def text(self, start: int, end: int) -> bytes:
        """Returns the entries at positions `start` to `end`, joined."""
        texts = self.texts
        if texts is not None:
            return texts[start] if end - start == 1 else b"".join(texts[start:end])
        if start >= end:
            return b""
        if self.shift == NARROW:
            return narrow_text(self._packed, self._ends, self.keys, start, end, self.ms, self.names)
        return b"".join(self.entry_texts(start, end))

    def size(self, start: int, end: int) -> int:
        """Returns the number of bytes of the entries at positions `start` to `end`, as clients read them."""
        if self.texts is not None:
            return sum(map(len, self.texts[start:end]))
        return len(self.text(start, end))

    def entry_texts(self, start: int, end: int) -> list[bytes]:
        """Returns the entries at positions `start` to `end`, one by one."""
        if self.texts is not None:
            return self.texts[start:end]
        if start >= end:
            return []
        packed, ends, names = self._packed, self._ends, self.names
        if self.shift == NARROW:
            keys, ms = self.keys, self.ms
            return [narrow_text(packed, ends, keys, at, at + 1, ms, names) for at in range(start, end)]
        begin = ends[start - 1] if start else 0
        texts: list[bytes] = []
        for id, stop in zip(self.ids(start, end), ends[start:end], strict=True):
            texts.append(entry_prefix(id) + fields_text(packed, begin, stop, names))
            begin = stop
        return texts

    def delete(self, position: int) -> None:
        """Removes one entry."""
        id = self.id_at(position)
        if id > self.tombstone:
            self.tombstone = id
        if position == self.lo:
            self.lo += 1
            return
        del self.keys[position]
        if self.texts is not None:
            del self.texts[position]
            return
        ends = self._ends
        begin = ends[position - 1]
        gone = ends[position] - begin
        self._packed = self._packed[:begin] + self._packed[begin + gone :]
        self._ends = ends[:position] + array(ends.typecode, [end - gone for end in ends[position + 1 :]])

    def trim(self, count: int) -> None:
        """Removes the first `count` entries."""
        self.lo += count
        self.tombstone = max(self.tombstone, self.id_at(self.lo - 1))

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """Yields all entries: IDs and encoded texts."""
        end = len(self.keys)
        return zip(self.ids(self.lo, end), self.entry_texts(self.lo, end), strict=True)

    def copy(self) -> StreamNode:
        node = StreamNode(self.first, self.names, self.space, self.room)
        node.tombstone, node.lo = self.tombstone, self.lo
        node.keys = self.keys[:]
        node.texts = None if self.texts is None else self.texts[:]
        node.shift, node._packed, node._ends = self.shift, self._packed, self._ends
        return node

    def memory(self) -> int:
        """Estimates the bytes in use, closely enough for MEMORY USAGE and eviction."""
        texts = len(self._packed) + self._ends.itemsize * len(self._ends)
        if self.texts is not None:
            texts = sum(map(len, self.texts)) + 41 * len(self.texts)
        return 320 + texts + (8 if self.shift == NARROW else 52) * len(self.keys)
