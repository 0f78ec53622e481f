"""Hashes from the dump format: plain, packed, with deadlines of fields, or built from templates."""

from collections.abc import Generator, Mapping
from typing import Any, Final

from broker.formats.rdb.format import (
    HASH,
    HASH_LISTPACK,
    HASH_LISTPACK_EX,
    HASH_LISTPACK_EX_PRE_GA,
    HASH_METADATA,
    HASH_METADATA_PRE_GA,
    HASH_TEMPLATE_ARRAY,
    HASH_TEMPLATE_ARRAY_REF,
    HASH_TEMPLATE_LISTPACK,
    HASH_TEMPLATE_LISTPACK_REF,
    HASH_ZIPLIST,
    HASH_ZIPMAP,
    MAX_FIELD_DEADLINE,
    OLDEST_VALKEY,
    TEMPLATE_FIELDS_LISTPACK,
    TEMPLATE_FIELDS_RAW,
)
from broker.formats.rdb.large_values import PIECE, Form, checked, in_steps, read_packed, read_plain, read_texts
from broker.formats.rdb.packed_values import read_listpack, read_ziplist, read_zipmap
from broker.formats.rdb.reader import Reader
from broker.values.hash import Hash
from protocol.numbers import parse_integer

Templates = Mapping[int, list[bytes]]
"""The fields of the hash templates at the beginning of a file, by number."""

HASH_TYPES: Final = frozenset(
    {
        HASH, HASH_ZIPMAP, HASH_ZIPLIST, HASH_LISTPACK, HASH_METADATA, HASH_METADATA_PRE_GA, HASH_LISTPACK_EX,
        HASH_LISTPACK_EX_PRE_GA, HASH_TEMPLATE_LISTPACK, HASH_TEMPLATE_LISTPACK_REF, HASH_TEMPLATE_ARRAY,
        HASH_TEMPLATE_ARRAY_REF,
    }
)  # fmt: skip


def load_hash(reader: Reader, kind: int, templates: Templates | None) -> Any:
    """Reads a hash of one of HASH_TYPES; returns it, or Steps. Raises BadFormat."""
    if kind == HASH_LISTPACK:
        return read_packed(reader, _PAIRS)
    if kind == HASH:
        return read_plain(reader, _PAIRS)
    if kind == HASH_ZIPLIST:
        return read_texts(reader, _PAIRS, read_ziplist(reader))
    if kind == HASH_ZIPMAP:
        return read_texts(reader, _PAIRS, read_zipmap(reader))
    if kind == HASH_LISTPACK_EX:
        reader.signed()  # the earliest deadline, which the listpack has as well
        return read_packed(reader, _EXPIRING)
    if kind == HASH_LISTPACK_EX_PRE_GA:
        return read_packed(reader, _EXPIRING)
    if kind == HASH_METADATA:
        return _expiring(reader, reader.signed() - 1)
    if kind == HASH_METADATA_PRE_GA:
        # Redis's release candidates and Valkey use the same number.
        return _valkey(reader) if reader.version >= OLDEST_VALKEY else _expiring(reader, 0)
    return _from_template(reader, kind, templates)


def _set_pairs(reader: Reader, value: Hash, texts: list[bytes]) -> None:
    """Sets alternating fields and values."""
    value.update(zip(texts[::2], texts[1::2], strict=True))


def _set_deadline(reader: Reader, value: Hash, field: bytes, deadline: int) -> None:
    if not 0 <= deadline <= MAX_FIELD_DEADLINE:
        raise reader.bad("a deadline is out of range")
    value.expire_at(field, deadline)


def _set_expiring(reader: Reader, value: Hash, texts: list[bytes]) -> None:
    """Sets alternating fields, values and deadlines; a deadline of 0 means none."""
    value.update(zip(texts[::3], texts[1::3], strict=True))
    for field, text in zip(texts[::3], texts[2::3], strict=True):
        deadline = parse_integer(text)
        if deadline is None:
            raise reader.bad("a deadline is not a number")
        if deadline:
            _set_deadline(reader, value, field, deadline)


_PAIRS: Final = Form(Hash, _set_pairs, 2, "a field without a value")
_EXPIRING: Final = Form(Hash, _set_expiring, 3, "a field without a deadline")


def _expiring(reader: Reader, base: int) -> Any:
    """Reads fields, each preceded by its deadline, which is relative to `base`; 0 means none."""
    count = reader.length()
    return in_steps(count, _expiring_steps(reader, base, count))


def _expiring_steps(reader: Reader, base: int, count: int) -> Generator[int, None, Hash]:
    value = Hash()
    for number in range(count):
        deadline = reader.length()
        field = reader.string()
        value[field] = reader.string()
        if deadline:
            _set_deadline(reader, value, field, base + deadline)
        if not number % PIECE:
            yield reader.offset
    checked(reader, value, count)
    return value


def _valkey(reader: Reader) -> Any:
    """Reads each field and value, followed by the deadline; -1 means none."""
    count = reader.length()
    return in_steps(count, _valkey_steps(reader, count))


def _valkey_steps(reader: Reader, count: int) -> Generator[int, None, Hash]:
    value = Hash()
    for number in range(count):
        field = reader.string()
        value[field] = reader.string()
        deadline = reader.signed()
        if deadline != -1:
            _set_deadline(reader, value, field, deadline)
        if not number % PIECE:
            yield reader.offset
    checked(reader, value, count)
    return value


def _from_template(reader: Reader, kind: int, templates: Templates | None) -> Any:
    """Reads values for the fields of a template, which comes with the value or, in files, from the file."""
    packed = kind in (HASH_TEMPLATE_LISTPACK, HASH_TEMPLATE_LISTPACK_REF)
    if kind in (HASH_TEMPLATE_LISTPACK, HASH_TEMPLATE_ARRAY):
        fields = _template_fields(reader)
        values = read_listpack(reader)[1:] if packed else [reader.string() for _ in fields]
    elif packed:
        number, *values = read_listpack(reader) or [b""]
        fields = _template(reader, parse_integer(number), templates)
    else:
        fields = _template(reader, reader.length(), templates)
        values = [reader.string() for _ in fields]
    if len(fields) != len(values):
        raise reader.bad("not as many values as fields")
    return checked(reader, Hash(dict(zip(fields, values, strict=True))), len(fields))


def _template_fields(reader: Reader) -> list[bytes]:
    form = reader.length()
    if form == TEMPLATE_FIELDS_LISTPACK:
        return read_listpack(reader)
    if form == TEMPLATE_FIELDS_RAW:
        return read_fields(reader)
    raise reader.bad("unknown template format")


def read_fields(reader: Reader) -> list[bytes]:
    """Reads the fields of a template: at least one, without duplicates."""
    fields = [reader.string() for _ in range(reader.length())]
    if not fields or len(set(fields)) != len(fields):
        raise reader.bad("a template without fields, or with a duplicate one")
    return fields


def _template(reader: Reader, number: int | None, templates: Templates | None) -> list[bytes]:
    fields = None if templates is None or number is None else templates.get(number)
    if fields is None:
        raise reader.bad("unknown template")
    return fields
