"""The encoding of a stream entry: exactly the bytes that clients read, `*2 <id> <fields>`, in both protocol versions.

Entries are encoded once, when they are added, and read many times. `_entry.pyx` has compiled twins of encode_entry,
encode_added, encode_run and field_value, used when they are built, unless TRIMARAN_PURE=1 is in the environment: 0.2 us
per entry instead of 0.6 to 2.
"""

from broker.values.listpack_size import element_size, integer_size, wrapped_integer_size
from broker.values.streams.ids import MAX_PART
from protocol.native import prefer
from protocol.replies import ARRAY_HEADERS, BULK_HEADERS, CRLF

_TWO_FIELDS = b"*2\r\n%b*4\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"


def encode_entry(ms: int, seq: int, fields: list[bytes]) -> tuple[bytes, bytes, int, int]:
    """Encodes the entry with the ID `ms`-`seq`; `fields` are alternating names and values.

    Returns the ID as a bulk string, the whole entry, the number of bytes in all fields, and the size of the values in
    Redis's listpack.
    """
    id_text = b"%d-%d" % (ms, seq)
    id_bulk = BULK_HEADERS[len(id_text)] + id_text + CRLF
    headers = BULK_HEADERS
    count = len(fields)
    if count == 2:
        # Most entries of most streams; takes half the time of the general case.
        name, value = fields
        length = len(name)
        size = len(value)
        parts = (
            b"*2\r\n",
            id_bulk,
            b"*2\r\n",
            headers[length] if length < 1024 else b"$%d\r\n" % length,
            name,
            CRLF,
            headers[size] if size < 1024 else b"$%d\r\n" % size,
            value,
            CRLF,
        )
        return id_bulk, b"".join(parts), length + size, size + 2 if 20 < size < 64 else element_size(value)
    sizes = sum(map(element_size, fields[1::2]))
    if count == 4:
        a, b, c, d = fields
        i, j, k, m = len(a), len(b), len(c), len(d)
        return id_bulk, _TWO_FIELDS % (id_bulk, i, a, j, b, k, c, m, d), i + j + k + m, sizes
    pieces = [b"*2\r\n", id_bulk, ARRAY_HEADERS[count] if count < 1024 else b"*%d\r\n" % count]
    for field in fields:
        length = len(field)
        pieces += (headers[length] if length < 1024 else b"$%d\r\n" % length, field, CRLF)
    return id_bulk, b"".join(pieces), sum(map(len, fields)), sizes


def encode_added(id: int, fields: list[bytes], names: list[bytes]) -> tuple[bytes, bytes, int, int, int, int]:
    """Encodes an entry that is being added to a node whose first entry has these names.

    Returns the same as `encode_entry`, then the two parts of the ID; but the size includes everything else that
    the node's listpack stores for the fields: their number and names only if they differ.
    """
    ms = id >> 64
    seq = id & MAX_PART
    id_bulk, entry, raw, size = encode_entry(ms, seq, fields)
    own = fields[::2]
    if names == own:
        size += integer_size(len(names) + 3) - 2
    else:
        size += sum(map(element_size, own))
        size += integer_size(len(fields) // 2) + integer_size(len(fields) + 4) - 2
    return id_bulk, entry, raw, size, ms, seq


def encode_run(
    id: int, entries: list[list[bytes]], start: int, names: list[bytes], space: int, room: int, first: int
) -> tuple[list[bytes], int]:
    """Encodes the entries from position `start` on that fit in a node; the IDs from `id` on have the same milliseconds.

    The node's first entry has these names and the ID `first`, and it can take `room` entries and `space` bytes. Returns
    the encoded entries, and the space that is left.
    """
    texts: list[bytes] = []
    delta = 2 + wrapped_integer_size((id >> 64) - (first >> 64))
    step = (id & MAX_PART) - (first & MAX_PART)
    for fields in entries[start : start + room]:
        _, entry, raw, size, _, _ = encode_added(id, fields, names)
        if raw >= space:
            break
        texts.append(entry)
        space -= size + 2 + delta + wrapped_integer_size(step)
        id += 1
        step += 1
    return texts, space


def entry_prefix(id: int) -> bytes:
    """Returns the part of an entry's encoding that precedes the fields."""
    id_text = b"%d-%d" % (id >> 64, id & MAX_PART)
    return b"*2\r\n" + BULK_HEADERS[len(id_text)] + id_text + CRLF


def decode_fields(entry: bytes) -> list[bytes]:
    """Returns the alternating names and values of an encoded entry."""
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


def field_value(entry: bytes, name: bytes) -> bytes | None:
    """Returns the value of an encoded entry's first field `name`, None if it has no such field."""
    fields = decode_fields(entry)
    for at in range(0, len(fields), 2):
        if fields[at] == name:
            return fields[at + 1]
    return None


prefer(globals(), "broker.values.streams._entry", "encode_added", "encode_entry", "encode_run", "field_value")
