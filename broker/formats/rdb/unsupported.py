"""Values of types that this broker doesn't have: what they are called, and where they end.

An array (Redis 8.8) is a number of elements, each with its index and a tag. A module's data has a shape that only the
module knows, but each of its parts is preceded by an opcode, so its end can be found. That is not so before Redis 4.0.
"""

from __future__ import annotations

from typing import Final

from broker.formats.rdb.format import ARRAY, MODULE_2, MODULE_PRE_GA
from broker.formats.rdb.reader import Reader

UNSUPPORTED: Final = frozenset({ARRAY, MODULE_2, MODULE_PRE_GA})
"""The types of values that this broker knows, but doesn't have."""

_ARRAY_INTEGER: Final = 1
_ARRAY_FLOAT: Final = 2
_ARRAY_STRINGS: Final = (0, 3)

_PART_END: Final = 0
_PART_INTEGERS: Final = (1, 2)
_PART_FLOAT: Final = 3
_PART_DOUBLE: Final = 4
_PART_STRING: Final = 5

_NAME: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_NAME_SIZE: Final = 9
_VERSION_BITS: Final = 10


def describe(reader: Reader, kind: int) -> str:
    """What a value of one of these types holds; reads its first part if it is a module's."""
    return (
        "an array, which this broker doesn't have"
        if kind == ARRAY
        else f"data of module type {module_name(reader.length())}"
    )


def skip_value(reader: Reader, kind: int) -> str:
    """Read a value of one of these types to its end; returns what it holds. Raises BadFormat."""
    what = describe(reader, kind)
    if kind == MODULE_PRE_GA:
        raise reader.bad(f"{what} of a Redis before 4.0, which can't be skipped")
    if kind == ARRAY:
        _skip_array(reader)
    else:
        skip_module_data(reader)
    return what


def _skip_array(reader: Reader) -> None:
    count = reader.length()
    if reader.length():
        reader.length()  # where the next element will be inserted
    for _ in range(count):
        reader.length()
        tag = reader.length()
        if tag in (_ARRAY_INTEGER, _ARRAY_FLOAT):
            reader.take(8)
        elif tag in _ARRAY_STRINGS:
            reader.string()
        else:
            raise reader.bad("unknown array element")


def skip_module_data(reader: Reader) -> None:
    """Read what a module has written to its end mark. Raises BadFormat."""
    while (part := reader.length()) != _PART_END:
        if part in _PART_INTEGERS:
            reader.length()
        elif part == _PART_FLOAT:
            reader.take(4)
        elif part == _PART_DOUBLE:
            reader.take(8)
        elif part == _PART_STRING:
            reader.string()
        else:
            raise reader.bad("unknown part of a module's data")


def module_name(number: int) -> str:
    """Returns the name of a module's type: nine characters of six bits each, above ten bits of version."""
    number >>= _VERSION_BITS
    characters = bytearray()
    for _ in range(_NAME_SIZE):
        characters.append(_NAME[number & 63])
        number >>= 6
    return characters[::-1].decode()
