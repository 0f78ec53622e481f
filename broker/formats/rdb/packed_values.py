"""The packed blobs within a dump (listpack, ziplist, zipmap, intset), read as texts, with the reader's error."""

from broker.formats.packed import intset, listpack, ziplist, zipmap
from broker.formats.rdb.reader import BadFormat, EmptyValue, Reader

DUPLICATE = "an element comes twice"


def empty(reader: Reader) -> EmptyValue:
    """The error for a value without elements, which no key may have, when all of it was read."""
    return EmptyValue("an empty value", reader.offset)


def duplicate(reader: Reader) -> BadFormat:
    """The error for an element that comes twice."""
    return reader.bad(DUPLICATE)


def read_listpack(reader: Reader) -> list[bytes]:
    """The elements of a listpack."""
    try:
        elements = listpack.decode(reader.string(), reader.elements)
    except listpack.BadListpack:
        raise reader.bad("a listpack is damaged or too long") from None
    reader.elements -= len(elements)
    return elements


def read_ziplist(reader: Reader) -> list[bytes]:
    """The elements of a ziplist."""
    try:
        elements = ziplist.decode(reader.string(), reader.elements)
    except ziplist.BadZiplist:
        raise reader.bad("a ziplist is damaged or too long") from None
    reader.elements -= len(elements)
    return elements


def read_zipmap(reader: Reader) -> list[bytes]:
    """Fields and values of a zipmap by turns."""
    try:
        return zipmap.decode(reader.string(), reader.elements)
    except zipmap.BadZipmap:
        raise reader.bad("a zipmap is damaged or too long") from None


def read_intset(reader: Reader) -> list[bytes]:
    """The members of an intset as texts."""
    try:
        return [b"%d" % member for member in intset.decode(reader.string())]
    except intset.BadIntset:
        raise reader.bad("an intset is damaged") from None


def read_strings(reader: Reader) -> list[bytes]:
    """A number of strings, and those; at least one."""
    count = reader.length()
    if not count:
        raise empty(reader)
    return reader.strings(count)
