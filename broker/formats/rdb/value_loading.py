"""Values from Redis's dump format: every type of Redis 2.6 to 8.10 and Valkey 7.2 to 9, except modules and arrays.

Everything is checked in depth: a returned value is complete, without duplicates, and not empty.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

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
from broker.formats.rdb.large_values import (
    PIECE,
    Form,
    Steps,
    checked,
    finish,
    in_steps,
    read_packed,
    read_plain,
    read_runs,
    read_texts,
)
from broker.formats.rdb.packed_values import duplicate, listpack_runs, read_intset, read_ziplist
from broker.formats.rdb.reader import Reader
from broker.formats.rdb.stream_loading import stream_steps
from broker.values.list import List
from broker.values.set import Set
from broker.values.sorted_set import SortedSet
from broker.values.streams.limits import StreamLimits
from protocol.numbers import parse_double, parse_integer

STREAM_TYPES: Final = frozenset(
    {STREAM_LISTPACKS, STREAM_LISTPACKS_2, STREAM_LISTPACKS_3, STREAM_LISTPACKS_4, STREAM_LISTPACKS_5}
)


def load_value(reader: Reader, kind: int, limits: StreamLimits, templates: Templates | None = None) -> Any:
    """Reads a value of type `kind`, as the keyspace holds it. Raises BadFormat.

    `limits` are the directives that a stream obeys, `templates` the hash templates of the file (a DUMP has none).
    """
    return finish(begin_value(reader, kind, limits, templates))


def begin_value(reader: Reader, kind: int, limits: StreamLimits, templates: Templates | None = None) -> Any:
    """Does the same as `load_value`, but returns Steps for what takes long."""
    load = _LOADERS.get(kind)
    if load is not None:
        return load(reader)
    if kind in HASH_TYPES:
        return load_hash(reader, kind, templates)
    if kind in STREAM_TYPES:
        return Steps(stream_steps(reader, kind, limits))
    raise reader.bad("unknown value type")


def _string(reader: Reader) -> bytes:
    return reader.string()


# Lists


def _extend(reader: Reader, value: List, elements: list[bytes]) -> None:
    value.extend(elements)


_LIST: Final = Form(List, _extend)


def _list(reader: Reader) -> Any:
    return read_plain(reader, _LIST)


def _list_ziplist(reader: Reader) -> Any:
    return read_texts(reader, _LIST, read_ziplist(reader))


def _quicklist_of_ziplists(reader: Reader) -> Any:
    nodes = reader.length()
    return Steps(read_runs(reader, _LIST, (read_ziplist(reader) for _ in range(nodes))))


def _quicklist(reader: Reader) -> Any:
    return Steps(read_runs(reader, _LIST, _nodes(reader, reader.length())))


def _nodes(reader: Reader, count: int) -> Iterator[list[bytes]]:
    for _ in range(count):
        form = reader.length()
        if form == PACKED_NODE:
            yield from listpack_runs(reader, reader.string(), PIECE)
        elif form == PLAIN_NODE:
            text = reader.string()
            if not text:
                raise reader.bad("an empty node")
            yield [text]
        else:
            raise reader.bad("unknown node format")


# Sets


def _add_members(reader: Reader, value: Set, members: list[bytes]) -> None:
    value.update(dict.fromkeys(members))


_SET: Final = Form(Set, _add_members)


def _set(reader: Reader) -> Any:
    return read_plain(reader, _SET)


def _set_listpack(reader: Reader) -> Any:
    return read_packed(reader, _SET)


def _set_intset(reader: Reader) -> Any:
    members = read_intset(reader)
    return in_steps(len(members), read_runs(reader, _SET, _texts(members)))


def _texts(members: list[int]) -> Iterator[list[bytes]]:
    for at in range(0, len(members), PIECE):
        yield [b"%d" % member for member in members[at : at + PIECE]]


# Sorted sets


def _put_scores(reader: Reader, value: SortedSet, texts: list[bytes]) -> None:
    put = value.put
    for member, text in zip(texts[::2], texts[1::2], strict=True):
        score: float | None = parse_integer(text)
        if score is None:
            score = parse_double(text)
            if score is None:
                raise reader.bad("a score is not a number")
        if put(member, float(score)) is not None:
            raise duplicate(reader)


_SORTED_SET: Final = Form(SortedSet, _put_scores, 2, "a member without a score")


def _sorted_set_listpack(reader: Reader) -> Any:
    return read_packed(reader, _SORTED_SET)


def _sorted_set_ziplist(reader: Reader) -> Any:
    return read_texts(reader, _SORTED_SET, read_ziplist(reader))


def _sorted_set_binary(reader: Reader) -> Any:
    count = reader.length()
    return in_steps(count, _sorted_set(reader, count, reader.double))


def _sorted_set_text(reader: Reader) -> Any:
    count = reader.length()
    return in_steps(count, _sorted_set(reader, count, reader.double_text))


def _sorted_set(reader: Reader, count: int, read_score: Callable[[], float]) -> Generator[int, None, SortedSet]:
    value = SortedSet()
    put = value.put
    for number in range(count):
        member = reader.string()
        score = read_score()
        if score != score:
            raise reader.bad("a score is not a number")
        # Servers write the highest score first, and each place is found in a fraction of the time that sorting takes.
        if put(member, score) is not None:
            raise duplicate(reader)
        if not number % PIECE:
            yield reader.offset
    checked(reader, value, count)
    return value


_LOADERS: Final[dict[int, Callable[[Reader], Any]]] = {
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
