"""How much memory a value would take in redis-server, for MEMORY USAGE.

Programs trim by that figure, to limits that were found with Redis, and the objects here take up to 40 times as much
for a small collection. So the answer comes from a model of Redis 8.10's structures. Except for the allocator's rounding
it is exact where Redis keeps a value in one block, and mostly within a quarter where it keeps tables. INFO memory
reports what the whole broker really uses, and eviction is based on that (broker.keyspace.sizes).

As in Redis, a sample of the elements represents all of them. With `samples` 0 all count: their lengths are summed,
which C does at 10 to 20 ns each, and only the overhead per element comes from a sample.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any, Final

from broker.values.hash import Hash
from broker.values.list import List
from broker.values.listpack_size import EMPTY_LISTPACK, element_size, integer_size
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from broker.values.streams.node import StreamNode
from broker.values.streams.stream import Stream

DEFAULT_SAMPLES: Final = 5

# Key and object in one block: the object's header, and the text's header and terminator.
_OBJECT: Final = 19
_TEXT: Final = 16
_BUCKET: Final = 8
_DICT: Final = 80
# Overhead of a table's element besides its text: the entry's own block, and what a longer text adds.
_HASH_ENTRY, _LONG_VALUE = 20, 23
_SET_ENTRY, _LONG_MEMBER = 18, 15
_ZSET_ENTRY, _ZSET = 69, 600
_LONG: Final = 64
_FIELD_DEADLINE, _PACKED_DEADLINE = 18, 10
_QUICKLIST, _QUICKLIST_NODE, _QUICKLIST_BYTES = 40, 40, 8192
_STREAM, _STREAM_NODE, _STREAM_ENTRY = 230, 50, 9
_GROUP, _CONSUMER, _PENDING = 280, 150, 97
# Redis samples a list's nodes, each of which has many elements.
_NODE_ELEMENTS: Final = 128
_EXACT_MAX: Final = 4096
_MARGIN_SAMPLES: Final = 64


def modelled_size(key: bytes, value: Any, encoding: bytes, samples: int = DEFAULT_SAMPLES) -> int:
    """Returns how many bytes a key and its value would take in redis-server, where the value has this encoding.

    `samples` is the number of elements to sample, 0 for all.
    """
    size = _OBJECT + len(key)
    kind = value.__class__
    if kind is bytes:
        return size if encoding == b"int" else size + _TEXT + len(value)
    if kind is bytearray:
        return size + sys.getsizeof(value)
    if kind is List:
        return size + _list(value, encoding, samples)
    if kind is Hash:
        return size + _hash(value, encoding, samples)
    if kind is Set:
        return size + _set(value, encoding, samples)
    if kind is SortedSet:
        return size + _sorted_set(value, encoding, samples)
    return size + _stream(value, samples)


def _list(value: List, encoding: bytes, samples: int) -> int:
    packed = _packed(value, samples * _NODE_ELEMENTS)
    if encoding == b"listpack":
        return EMPTY_LISTPACK + packed
    return _QUICKLIST + packed + _nodes(value, packed) * (_QUICKLIST_NODE + EMPTY_LISTPACK)


def _nodes(value: List, packed: int) -> int:
    return min(len(value), packed // _QUICKLIST_BYTES + 1)


def list_nodes(value: List) -> tuple[int, int]:
    """Returns how many listpacks Redis would keep a list in, and their size in bytes."""
    packed = _packed(value, 0)
    nodes = _nodes(value, packed)
    return nodes, packed + nodes * EMPTY_LISTPACK


def _hash(value: Hash, encoding: bytes, samples: int) -> int:
    deadlines = len(value.deadlines or ())
    if encoding != b"hashtable":
        packed = _packed(value, samples) + _packed(value.values(), samples)
        return EMPTY_LISTPACK + packed + _PACKED_DEADLINE * deadlines
    count = len(value)
    texts = _lengths(value, samples) + _lengths(value.values(), samples)
    long = _share_of_long(value.values()) * _LONG_VALUE
    return _table(count) + texts + int(count * (_HASH_ENTRY + long)) + _FIELD_DEADLINE * deadlines


def _set(value: Set, encoding: bytes, samples: int) -> int:
    count = len(value)
    if encoding == b"intset":
        largest = max(max(map(int, value)), -min(map(int, value)) - 1)
        return 8 + count * (2 if largest < 1 << 15 else 4 if largest < 1 << 31 else 8)
    if encoding == b"listpack":
        return EMPTY_LISTPACK + _packed(value, samples)
    return _table(count) + _lengths(value, samples) + int(count * (_SET_ENTRY + _share_of_long(value) * _LONG_MEMBER))


def _sorted_set(value: SortedSet, encoding: bytes, samples: int) -> int:
    scores = value.scores
    count = len(scores)
    if encoding == b"listpack":
        return EMPTY_LISTPACK + _packed(scores, samples) + sum(map(_score_size, scores.values()))
    return _ZSET + _table(count) + _lengths(scores, samples) + count * _ZSET_ENTRY


def _stream(value: Stream, samples: int) -> int:
    count = value.node_count()
    sampled = [_stream_node(node) for node in islice(value.nodes(), samples or count)]
    nodes = sum(sampled) * count // max(len(sampled), 1)
    groups = sum(
        _GROUP + _PENDING * len(group.pel) + _CONSUMER * len(group.consumers) for group in value.groups.values()
    )
    idempotency = value.idempotency.memory() if value.idempotency.producers else 0
    return _STREAM + nodes + groups + idempotency


def _stream_node(node: StreamNode) -> int:
    """Returns a node's listpack size, from its entries' fields, which are packed in the same way."""
    entries = len(node)
    packed, ends = node.packed()
    before = ends[node.lo - 1] if node.lo else 0
    return _STREAM_NODE + sum(map(element_size, node.names)) + len(packed) - before + entries * _STREAM_ENTRY


def _score_size(score: float) -> int:
    """Returns a score's size in a listpack, which holds it as text unless it is an integer."""
    return integer_size(int(score)) if score.is_integer() and abs(score) < 1 << 62 else len(repr(score)) + 2


def _table(count: int) -> int:
    """Returns the size of a hash table's buckets; their number is the next power of 2."""
    return _DICT + _BUCKET * max(4, 1 << (count - 1).bit_length())


def _packed(elements: Collection[bytes], samples: int) -> int:
    """Returns the size of elements in listpacks, exact while there are few, as Redis then keeps them in one block."""
    count = len(elements)
    if count <= _EXACT_MAX:
        return sum(map(element_size, elements))
    if 0 < samples < count:
        return sum(map(element_size, islice(elements, samples))) * count // samples
    overhead = sum(element_size(element) - len(element) for element in islice(elements, _MARGIN_SAMPLES))
    return sum(map(len, elements)) + overhead * count // _MARGIN_SAMPLES


def _lengths(texts: Collection[bytes], samples: int) -> int:
    """Estimates the total length of all texts from a sample."""
    count = len(texts)
    if not samples or samples >= count:
        return sum(map(len, texts))
    return sum(map(len, islice(texts, samples))) * count // samples


def _share_of_long(texts: Iterable[bytes]) -> float:
    sampled = [len(text) > _LONG for text in islice(texts, _MARGIN_SAMPLES)]
    return sum(sampled) / len(sampled)
