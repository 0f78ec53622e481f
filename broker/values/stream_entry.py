"""The encoding of a stream entry: exactly what a client is sent for it, `*2 <id> <fields>`, in both protocol
versions.

Entries are encoded once, when they are added, and read many times.
"""

from protocol.replies import ARRAY_HEADERS, BULK_HEADERS, CRLF


def encode_entry(id_bulk: bytes, fields: list[bytes]) -> tuple[bytes, int]:
    """An entry's encoding, and the bytes of its names and values alone."""
    count = len(fields)
    if count == 4:
        # The most frequent count beside 2, which Stream.append takes care of: 0.6 us less.
        a, b, c, d = fields
        i, j, k, m = len(a), len(b), len(c), len(d)
        entry = b"*2\r\n%b*4\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"
        return entry % (id_bulk, i, a, j, b, k, c, m, d), i + j + k + m
    parts = [b"*2\r\n", id_bulk, ARRAY_HEADERS[count] if count < 1024 else b"*%d\r\n" % count]
    raw = 0
    headers = BULK_HEADERS
    for field in fields:
        length = len(field)
        raw += length
        parts += (headers[length] if length < 1024 else b"$%d\r\n" % length, field, CRLF)
    return b"".join(parts), raw


def decode_fields(entry: bytes) -> list[bytes]:
    """The names and values, by turns, of an entry's encoding."""
    # Skip `*2`, the ID's header and the ID.
    position = entry.index(b"\n", entry.index(b"\n", 4) + 1) + 1
    end = entry.index(b"\r", position)
    fields = []
    for _ in range(int(entry[position + 1 : end])):
        position = end + 2
        end = entry.index(b"\r", position)
        begin = end + 2
        end = begin + int(entry[position + 1 : end])
        fields.append(entry[begin:end])
    return fields


def fields_part(entry: bytes) -> bytes:
    """The encoding of an entry's fields alone: an array of bulk strings."""
    return entry[entry.index(b"\n", entry.index(b"\n", 4) + 1) + 1 :]
