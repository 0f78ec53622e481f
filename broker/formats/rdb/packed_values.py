"""Reading the packed blobs in a dump (listpack, ziplist, zipmap, intset) as texts, raising the reader's error."""

from collections.abc import Iterator

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
    return decode_listpack(reader, reader.string())


def decode_listpack(reader: Reader, blob: bytes) -> list[bytes]:
    """Returns the elements of a listpack that has just been read."""
    reader.packed += 1
    try:
        elements = listpack.decode(blob, reader.elements)
    except listpack.BadListpack:
        raise _damaged(reader) from None
    reader.elements -= len(elements)
    return elements


def listpack_runs(reader: Reader, blob: bytes, piece: int) -> Iterator[list[bytes]]:
    """Yields what `decode_listpack` returns in runs of `piece` elements."""
    reader.packed += 1
    at = found = 0
    end = len(blob)
    while True:
        run: list[bytes] = []
        try:
            at = listpack.decode_run(blob, at, min(piece, reader.elements), run)
            found += len(run)
            if at == end:
                listpack.check_count(blob, found)
        except listpack.BadListpack:
            raise _damaged(reader) from None
        if at != end and len(run) < piece:
            # There are more elements than allowed.
            raise _damaged(reader)
        reader.elements -= len(run)
        if run:
            yield run
        if at == end:
            return


def _damaged(reader: Reader) -> BadFormat:
    return reader.bad("a listpack is damaged or too long")


def read_ziplist(reader: Reader) -> list[bytes]:
    """Reads the elements of a ziplist."""
    reader.packed += 1
    try:
        elements = ziplist.decode(reader.string(), reader.elements)
    except ziplist.BadZiplist:
        raise reader.bad("a ziplist is damaged or too long") from None
    reader.elements -= len(elements)
    return elements


def read_zipmap(reader: Reader) -> list[bytes]:
    """Reads alternating fields and values of a zipmap."""
    reader.packed += 1
    try:
        return zipmap.decode(reader.string(), reader.elements)
    except zipmap.BadZipmap:
        raise reader.bad("a zipmap is damaged or too long") from None


def read_intset(reader: Reader) -> list[int]:
    """Reads the members of an intset."""
    reader.packed += 1
    try:
        return intset.decode(reader.string())
    except intset.BadIntset:
        raise reader.bad("an intset is damaged") from None
