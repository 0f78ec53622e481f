"""Reading the packed blobs in a dump (listpack, ziplist, zipmap, intset) as texts, raising the reader's error."""

from broker.formats.packed import intset, ziplist, zipmap
from broker.formats.rdb.reader import BadFormat, EmptyValue, Reader
from broker.values import listpack

DUPLICATE = "a duplicate element"


def empty(reader: Reader) -> EmptyValue:
    """Returns the error for a completely read value without elements, which no key may have."""
    return EmptyValue("an empty value", reader.offset)


def duplicate(reader: Reader) -> BadFormat:
    """Returns the error for a duplicate element."""
    return reader.bad(DUPLICATE)


def read_listpack(reader: Reader) -> list[bytes]:
    """Reads the elements of a listpack."""
    try:
        elements = listpack.decode(reader.string(), reader.elements)
    except listpack.BadListpack:
        raise reader.bad("a listpack is damaged or too long") from None
    reader.elements -= len(elements)
    return elements


def read_ziplist(reader: Reader) -> list[bytes]:
    """Reads the elements of a ziplist."""
    try:
        elements = ziplist.decode(reader.string(), reader.elements)
    except ziplist.BadZiplist:
        raise reader.bad("a ziplist is damaged or too long") from None
    reader.elements -= len(elements)
    return elements


def read_zipmap(reader: Reader) -> list[bytes]:
    """Reads alternating fields and values of a zipmap."""
    try:
        return zipmap.decode(reader.string(), reader.elements)
    except zipmap.BadZipmap:
        raise reader.bad("a zipmap is damaged or too long") from None


def read_intset(reader: Reader) -> list[bytes]:
    """Reads the members of an intset as texts."""
    try:
        return [b"%d" % member for member in intset.decode(reader.string())]
    except intset.BadIntset:
        raise reader.bad("an intset is damaged") from None


def read_strings(reader: Reader) -> list[bytes]:
    """Reads a number, and that many strings; at least one."""
    count = reader.length()
    if not count:
        raise empty(reader)
    return reader.strings(count)
