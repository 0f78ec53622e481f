"""The packed blobs within a dump (listpack, ziplist, zipmap, intset), read as texts, with the reader's error."""

from broker.persistence import intset, listpack, ziplist, zipmap
from broker.persistence.rdb_reader import BadFormat, Reader

EMPTY = "an empty value"
DUPLICATE = "an element comes twice"


def empty(reader: Reader) -> BadFormat:
    """The error for a value without elements, which no key may have."""
    return reader.bad(EMPTY)


def duplicate(reader: Reader) -> BadFormat:
    """The error for an element that comes twice."""
    return reader.bad(DUPLICATE)


def unpack_listpack(reader: Reader, blob: bytes) -> list[bytes]:
    """The elements of a listpack that was just read."""
    try:
        elements = listpack.decode(blob, reader.elements)
    except listpack.BadListpack:
        raise reader.bad("a listpack is damaged or too long") from None
    reader.elements -= len(elements)
    return elements


def read_listpack(reader: Reader) -> list[bytes]:
    """The elements of a listpack."""
    return unpack_listpack(reader, reader.string())


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
    string = reader.string
    return [string() for _ in range(count)]
