"""Values in Redis's dump format: a type and a body.

Everything is written as Redis 7.0 does, in the encoding that a server with the same thresholds chooses, so that 7.0 and
newer servers can read it. A newer type is used only for what older ones can't represent (deadlines of fields, some
state of streams). Only sets of texts are written differently from 8.10: their listpacks were introduced by 7.2, and
every server packs a small set again when it reads it.
"""

from itertools import chain
from typing import Any, Protocol

from broker.formats.packed import intset
from broker.formats.rdb.format import (
    HASH,
    HASH_LISTPACK,
    HASH_LISTPACK_EX,
    HASH_METADATA,
    LIST_QUICKLIST_2,
    PACKED_NODE,
    PLAIN_NODE,
    SET,
    SET_INTSET,
    STRING,
    VALKEY_HASH_2,
    ZSET_2,
    ZSET_LISTPACK,
)
from broker.formats.rdb.primitives import double_bytes, length_bytes, signed_bytes
from broker.formats.rdb.stream_saving import save_stream, stream_kind
from broker.formats.rdb.strings import append_string
from broker.values import listpack
from broker.values.hash import Hash
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from protocol.numbers import format_double, parse_integer

# Redis's list-max-listpack-size: -1 to -5 mean this many bytes per node; a number of elements has the second limit.
_NODE_BYTES = (4096, 8192, 16384, 32768, 65536)
_NODE_BYTES_WITH_COUNT = 8192
_NODE_OVERHEAD = 8
_EMPTY_LISTPACK = 7
# An element's maximum overhead, which includes _NODE_OVERHEAD.
_MAX_OVERHEAD = 18
_ONE_PACKED_NODE = length_bytes(1) + length_bytes(PACKED_NODE)

# Integers beyond this are not exact as doubles; their texts are.
_EXACT = 1 << 53


class SavingOptions(Protocol):
    """The directives that decide how values are written; part of a broker's configuration."""

    @property
    def rdbcompression(self) -> bool: ...
    @property
    def list_max_listpack_size(self) -> int: ...
    @property
    def hash_max_listpack_entries(self) -> int: ...
    @property
    def hash_max_listpack_value(self) -> int: ...
    @property
    def set_max_intset_entries(self) -> int: ...
    @property
    def zset_max_listpack_entries(self) -> int: ...
    @property
    def zset_max_listpack_value(self) -> int: ...
    @property
    def stream_idmp_duration(self) -> int: ...
    @property
    def stream_idmp_maxsize(self) -> int: ...
    @property
    def replication_compat(self) -> str: ...


def save_value(value: Any, options: SavingOptions) -> tuple[int, bytearray]:
    """Returns the type and the body of a value of the keyspace."""
    out = bytearray()
    return append_value(out, value, options), out


def append_value(out: bytearray, value: Any, options: SavingOptions) -> int:
    """Appends the body of a value of the keyspace; returns its type."""
    kind = value.__class__
    if kind is bytes or kind is bytearray:
        append_string(out, value, options.rdbcompression)
        return STRING
    if kind is List:
        _append_list(out, value, options)
        return LIST_QUICKLIST_2
    if kind is Hash:
        return _append_hash(out, value, options)
    if kind is Set:
        return _append_set(out, value, options)
    if kind is SortedSet:
        return _append_sorted_set(out, value, options)
    stream_type = stream_kind(value, options)
    save_stream(out, value, stream_type, options.rdbcompression)
    return stream_type


def _append_list(out: bytearray, value: List, options: SavingOptions) -> None:
    """Appends a list as a quicklist, with nodes as if Redis had pushed element by element."""
    fill = options.list_max_listpack_size
    most_bytes = _NODE_BYTES_WITH_COUNT if fill >= 0 else _NODE_BYTES[min(-fill, len(_NODE_BYTES)) - 1]
    most_elements = max(fill, 1) if fill >= 0 else len(value)
    nodes = bytearray()
    node_count = 0
    parts: list[bytes] = []
    size = _EMPTY_LISTPACK
    compress = options.rdbcompression
    if len(value) <= most_elements and sum(map(len, value)) + _MAX_OVERHEAD * len(value) <= most_bytes:
        # Most lists, and all short ones, have one node.
        out += _ONE_PACKED_NODE
        append_string(out, listpack.encode(value), compress)
        return
    encode = listpack.element

    for text in value:
        length = len(text)
        large = length > most_bytes
        if parts and (large or size + length + _NODE_OVERHEAD > most_bytes or len(parts) >= most_elements):
            nodes += length_bytes(PACKED_NODE)
            append_string(nodes, listpack.join(parts), compress)
            node_count += 1
            parts = []
            size = _EMPTY_LISTPACK
        if large:
            nodes += length_bytes(PLAIN_NODE)
            append_string(nodes, text, compress)
            node_count += 1
            continue
        part = encode(text)
        parts.append(part)
        size += len(part)
    if parts:
        nodes += length_bytes(PACKED_NODE)
        append_string(nodes, listpack.join(parts), compress)
        node_count += 1
    out += length_bytes(node_count)
    out += nodes


def _append_set(out: bytearray, value: Set, options: SavingOptions) -> int:
    if len(value) <= options.set_max_intset_entries:
        members = [parse_integer(member) for member in value]
        numbers = [member for member in members if member is not None]
        if len(numbers) == len(members):
            append_string(out, intset.encode(sorted(numbers)), options.rdbcompression)
            return SET_INTSET
    compress = options.rdbcompression
    out += length_bytes(len(value))
    for text in value:
        append_string(out, text, compress)
    return SET


def _append_sorted_set(out: bytearray, value: SortedSet, options: SavingOptions) -> int:
    compress = options.rdbcompression
    if value.encoding(options.zset_max_listpack_entries, options.zset_max_listpack_value) == b"listpack":
        parts: list[bytes] = []
        for score, member in value:
            parts += (listpack.element(member), _score_element(score))
        append_string(out, listpack.join(parts), compress)
        return ZSET_LISTPACK
    out += length_bytes(len(value))
    # Highest score first, which Redis reads fastest.
    for score, member in value.span(0, len(value), reverse=True):
        append_string(out, member, compress)
        out += double_bytes(score)
    return ZSET_2


def _score_element(score: float) -> bytes:
    if -_EXACT < score < _EXACT and score.is_integer():
        return listpack.integer(int(score))
    return listpack.element(format_double(score))


def _append_hash(out: bytearray, value: Hash, options: SavingOptions) -> int:
    compress = options.rdbcompression
    packed = value.encoding(options.hash_max_listpack_entries, options.hash_max_listpack_value) != b"hashtable"
    earliest = value.earliest_deadline()
    if earliest is not None:
        out += signed_bytes(earliest)
        return (_append_packed_expiring if packed else _append_expiring)(out, value, earliest, compress)
    if packed:
        append_string(out, listpack.encode(chain.from_iterable(value.items())), compress)
        return HASH_LISTPACK
    out += length_bytes(len(value))
    for field, text in value.items():
        append_string(out, field, compress)
        append_string(out, text, compress)
    return HASH


def _append_packed_expiring(out: bytearray, value: Hash, earliest: int, compress: bool) -> int:
    """Appends fields, values and deadlines in the order of deadlines; fields without one (0) come last."""
    deadlines: dict[bytes, int] = value.deadlines or {}
    expiring = sorted(deadlines, key=deadlines.__getitem__)
    encode, number = listpack.element, listpack.integer
    parts: list[bytes] = []
    for field in expiring:
        parts += (encode(field), encode(value[field]), number(deadlines[field]))
    for field, text in value.items():
        if field not in deadlines:
            parts += (encode(field), encode(text), number(0))
    append_string(out, listpack.join(parts), compress)
    return HASH_LISTPACK_EX


def append_valkey_hash(out: bytearray, value: Hash, compress: bool) -> int:
    """Appends a hash with deadlines as Valkey 9 does: each field and value before its deadline, -1 for none."""
    deadlines: dict[bytes, int] = value.deadlines or {}
    out += length_bytes(len(value))
    for field, text in value.items():
        append_string(out, field, compress)
        append_string(out, text, compress)
        out += signed_bytes(deadlines.get(field, -1))
    return VALKEY_HASH_2


def _append_expiring(out: bytearray, value: Hash, earliest: int, compress: bool) -> int:
    """Appends each field after its deadline: 0 for none, otherwise relative to the earliest one, which is 1."""
    deadlines: dict[bytes, int] = value.deadlines or {}
    out += length_bytes(len(value))
    for field, text in value.items():
        deadline = deadlines.get(field)
        out += length_bytes(0 if deadline is None else deadline - earliest + 1)
        append_string(out, field, compress)
        append_string(out, text, compress)
    return HASH_METADATA
