"""Values from Redis's dump format: every type of Redis 2.6 to 8.10 and Valkey 7.2 to 9, except modules and arrays.

Everything is checked in depth: a returned value is complete, without duplicates, and not empty.
"""

from collections.abc import Callable
from math import isnan
from typing import Any

from broker.formats.rdb.format import (
    LIST,
    LIST_QUICKLIST,
    LIST_QUICKLIST_2,
    LIST_ZIPLIST,
    PACKED_NODE,
    PLAIN_NODE,
    SET,
    SET_INTSET,
    SET_LISTPACK,
    STREAM_LISTPACKS,
    STREAM_LISTPACKS_2,
    STREAM_LISTPACKS_3,
    STREAM_LISTPACKS_4,
    STREAM_LISTPACKS_5,
    STRING,
    ZSET,
    ZSET_2,
    ZSET_LISTPACK,
    ZSET_ZIPLIST,
)
from broker.formats.rdb.hash_loading import HASH_TYPES, Templates, load_hash
from broker.formats.rdb.packed_values import duplicate, empty, read_intset, read_listpack, read_strings, read_ziplist
from broker.formats.rdb.reader import Reader
from broker.formats.rdb.stream_loading import load_stream
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from broker.values.streams.limits import StreamLimits
from protocol.numbers import parse_double, parse_integer

STREAM_TYPES = frozenset(
    {STREAM_LISTPACKS, STREAM_LISTPACKS_2, STREAM_LISTPACKS_3, STREAM_LISTPACKS_4, STREAM_LISTPACKS_5}
)


def load_value(reader: Reader, kind: int, limits: StreamLimits, templates: Templates | None = None) -> Any:
    """Reads a value of type `kind`, as the keyspace holds it. Raises BadFormat.

    `limits` are the directives that a stream obeys, `templates` the hash templates of the file (a DUMP has none).
    """
    load = _LOADERS.get(kind)
    if load is not None:
        return load(reader)
    if kind in HASH_TYPES:
        return load_hash(reader, kind, templates)
    if kind in STREAM_TYPES:
        return load_stream(reader, kind, limits)
    raise reader.bad("unknown value type")


def _string(reader: Reader) -> bytes:
    return reader.string()


def _list(reader: Reader) -> List:
    return List(read_strings(reader))


def _list_ziplist(reader: Reader) -> List:
    return _list_of(reader, read_ziplist(reader))


def _list_of(reader: Reader, elements: list[bytes]) -> List:
    if not elements:
        raise empty(reader)
    return List(elements)


def _quicklist_of_ziplists(reader: Reader) -> List:
    elements: list[bytes] = []
    for _ in range(reader.length()):
        elements += read_ziplist(reader)
    return _list_of(reader, elements)


def _quicklist(reader: Reader) -> List:
    elements: list[bytes] = []
    for _ in range(reader.length()):
        form = reader.length()
        if form == PACKED_NODE:
            elements += read_listpack(reader)
        elif form == PLAIN_NODE:
            text = reader.string()
            if not text:
                raise reader.bad("an empty node")
            elements.append(text)
        else:
            raise reader.bad("unknown node format")
    return _list_of(reader, elements)


def _set(reader: Reader) -> Set:
    return _set_of(reader, read_strings(reader))


def _set_listpack(reader: Reader) -> Set:
    return _set_of(reader, read_listpack(reader))


def _set_of(reader: Reader, members: list[bytes]) -> Set:
    value = Set.of(members)
    if not value:
        raise empty(reader)
    if len(value) != len(members):
        raise duplicate(reader)
    return value


def _set_intset(reader: Reader) -> Set:
    return Set.of(read_intset(reader))


def _sorted_set_binary(reader: Reader) -> SortedSet:
    return _sorted_set(reader, reader.double)


def _sorted_set_text(reader: Reader) -> SortedSet:
    return _sorted_set(reader, reader.double_text)


def _sorted_set(reader: Reader, read_score: Callable[[], float]) -> SortedSet:
    count = reader.length()
    scores: dict[bytes, float] = {}
    for _ in range(count):
        member = reader.string()
        score = read_score()
        if isnan(score):
            raise reader.bad("a score is not a number")
        # Adding 0 makes -0 positive, as everywhere in this broker.
        scores[member] = score + 0.0
    return _sorted_set_of(reader, scores, count)


def _sorted_set_of(reader: Reader, scores: dict[bytes, float], count: int) -> SortedSet:
    if not count:
        raise empty(reader)
    if len(scores) != count:
        raise duplicate(reader)
    return SortedSet(scores)


def _sorted_set_listpack(reader: Reader) -> SortedSet:
    return _sorted_set_packed(reader, read_listpack(reader))


def _sorted_set_ziplist(reader: Reader) -> SortedSet:
    return _sorted_set_packed(reader, read_ziplist(reader))


def _sorted_set_packed(reader: Reader, elements: list[bytes]) -> SortedSet:
    if len(elements) % 2:
        raise reader.bad("a member without a score")
    scores: dict[bytes, float] = {}
    for member, text in zip(elements[::2], elements[1::2], strict=True):
        score: float | None = parse_integer(text)
        if score is None:
            score = parse_double(text)
            if score is None:
                raise reader.bad("a score is not a number")
        scores[member] = score + 0.0
    return _sorted_set_of(reader, scores, len(elements) // 2)


_LOADERS: dict[int, Callable[[Reader], Any]] = {
    STRING: _string,
    LIST: _list,
    LIST_ZIPLIST: _list_ziplist,
    LIST_QUICKLIST: _quicklist_of_ziplists,
    LIST_QUICKLIST_2: _quicklist,
    SET: _set,
    SET_INTSET: _set_intset,
    SET_LISTPACK: _set_listpack,
    ZSET: _sorted_set_text,
    ZSET_2: _sorted_set_binary,
    ZSET_ZIPLIST: _sorted_set_ziplist,
    ZSET_LISTPACK: _sorted_set_listpack,
}
