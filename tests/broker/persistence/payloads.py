"""Payloads made by hand: encodings that only older servers write, and ones that no server does."""

import struct

from broker.formats.packed import intset
from broker.formats.packed.crc64 import crc64
from broker.formats.rdb.primitives import length_bytes
from broker.values import listpack


def sealed(body: bytes, version: int = 10) -> bytes:
    """A type and a value's body as a payload, with a right footer."""
    payload = body + version.to_bytes(2, "little")
    return payload + crc64(payload).to_bytes(8, "little")


def string(text: bytes) -> bytes:
    """A string, neither compressed nor as an integer."""
    return length_bytes(len(text)) + text


def strings(*texts: bytes) -> bytes:
    """Several strings with their number."""
    return length_bytes(len(texts)) + b"".join(map(string, texts))


def ziplist(*elements: bytes | int, count: int | None = None) -> bytes:
    """A ziplist of texts and integers; `count` is another number of elements for it to say it has."""
    body = bytearray()
    before = 0
    tail = 10
    for element in elements:
        head = bytes((before,)) if before < 254 else b"\xfe" + struct.pack("<I", before)
        encoded = head + _ziplist_element(element)
        tail = 10 + len(body)
        before = len(encoded)
        body += encoded
    number = len(elements) if count is None else count
    return struct.pack("<IIH", 11 + len(body), tail, number) + body + b"\xff"


def _ziplist_element(element: bytes | int) -> bytes:
    if isinstance(element, bytes):
        size = len(element)
        if size < 64:
            return bytes((size,)) + element
        if size < 16384:
            return bytes((0x40 | size >> 8, size & 0xFF)) + element
        return b"\x80" + struct.pack(">I", size) + element
    if 0 <= element <= 12:
        return bytes((0xF1 + element,))
    for first, width in ((0xFE, 1), (0xC0, 2), (0xF0, 3), (0xD0, 4), (0xE0, 8)):
        if -1 << 8 * width - 1 <= element < 1 << 8 * width - 1:
            return bytes((first,)) + element.to_bytes(width, "little", signed=True)
    raise ValueError(element)


def zipmap(*pairs: tuple[bytes, bytes], unused: int = 0, count: int | None = None) -> bytes:
    """A zipmap; `unused` bytes stand behind each value."""
    body = b""
    for field, value in pairs:
        body += _zipmap_length(field) + field + _zipmap_length(value) + bytes((unused,)) + value + b"\0" * unused
    return bytes((len(pairs) if count is None else count,)) + body + b"\xff"


def _zipmap_length(text: bytes) -> bytes:
    return bytes((len(text),)) if len(text) < 254 else b"\xfe" + struct.pack("<I", len(text))


def lzf_string(packed: bytes, size: int) -> bytes:
    """A compressed string that says it has `size` bytes."""
    return b"\xc3" + length_bytes(len(packed)) + length_bytes(size) + packed


INTEGERS = (
    0,
    12,
    13,
    -1,
    127,
    -128,
    128,
    32767,
    -32768,
    32768,
    8388607,
    -8388608,
    2**31 - 1,
    2**31,
    2**63 - 1,
    -(2**63),
)
TEXTS = (b"", b"a", b"x" * 63, b"x" * 64, b"x" * 300, b"y" * 16384, b"z")
_PAIRS = ziplist(b"f", b"v", 5, 6, b"long" * 99, 1, b"h", -7)
_NODE_KEY = string((1 << 64 | 1).to_bytes(16, "big"))


def _stream(kind: int, counters: bytes, groups: bytes = b"\0", rest: bytes = b"") -> bytes:
    node = listpack.encode([b"2", b"1", b"1", b"f", b"0",
                            b"2", b"0", b"0", b"a", b"4",
                            b"3", b"1", b"0", b"b", b"4",
                            b"0", b"2", b"5", b"2", b"f", b"1", b"g", b"2", b"8"])  # fmt: skip
    return bytes((kind,)) + b"\1" + _NODE_KEY + string(node) + b"\2" + b"\3\6" + counters + groups + rest


_GROUP = (
    b"\1" + string(b"g") + b"\1\1" + b"%b"
    + b"\1" + (1 << 64 | 1).to_bytes(16, "big") + (1700000000000).to_bytes(8, "little") + b"\3"
    + b"\1" + string(b"alice") + (1700000000001).to_bytes(8, "little") + b"%b"
    + b"\1" + (1 << 64 | 1).to_bytes(16, "big")
)  # fmt: skip
_SEEN = (1700000000002).to_bytes(8, "little")
_COUNTERS = b"\1\1\0\0\3"

HAND_MADE: dict[str, bytes] = {
    "no checksum": b"\0\5hello\x0a\0" + b"\0" * 8,
    "version 1": sealed(b"\0\5hello", 1),
    "string of 14 bits of length": sealed(b"\0\x40\x05hello"),
    "string of 32 bits of length": sealed(b"\0\x80\0\0\0\x05hello"),
    "string of 64 bits of length": sealed(b"\0\x81\0\0\0\0\0\0\0\x05hello"),
    "integer of 8 bits": sealed(b"\0\xc0\x80"),
    "integer of 16 bits": sealed(b"\0\xc1\0\x80"),
    "integer of 32 bits": sealed(b"\0\xc2\0\0\0\x80"),
    "compressed": sealed(b"\0" + lzf_string(b"\0a\xe0\x40\0", 74)),
    "list": sealed(b"\1" + strings(b"a", b"b" * 100, b"") + b""),
    "list with integers": sealed(b"\1\3\1a\xc0\x05\xc1\x00\x10"),
    "list as a ziplist": sealed(b"\x0a" + string(ziplist(*INTEGERS, *TEXTS))),
    "list as a ziplist of unknown length": sealed(b"\x0a" + string(ziplist(b"a", 1, count=65535))),
    "list as ziplists": sealed(b"\x0e\2" + string(ziplist(*TEXTS)) + string(ziplist(*INTEGERS))),
    "list as ziplists, one empty": sealed(b"\x0e\2" + string(ziplist()) + string(ziplist(b"a"))),
    "quicklist with a plain node": sealed(b"\x12\2\1" + string(b"12") + b"\2" + string(listpack.encode([b"a", b"1"]))),
    "set": sealed(b"\2" + strings(b"a", b"b", b"1")),
    "set of integers": sealed(b"\2\3\xc0\1\xc0\2\xc0\3"),
    "set as an intset": sealed(b"\x0b" + string(intset.encode([-5, 0, 70000]))),
    "set as a listpack": sealed(b"\x14" + string(listpack.encode([b"a", b"12", b"x" * 70])), 11),
    "zset with texts": sealed(b"\3\4\1a\x031.5\1b\xfe\1c\xff\1d\x061e-300"),
    "zset binary": sealed(b"\5\2\1a" + struct.pack("<d", 0.1) + b"\1b" + struct.pack("<d", -0.0)),
    "zset as a ziplist": sealed(b"\x0c" + string(ziplist(b"a", -3, b"b", b"1.25", b"c", b"inf"))),
    "zset as a listpack": sealed(b"\x11" + string(listpack.encode([b"a", b"-3", b"b", b"1.25", b"c", b"inf"]))),
    "hash": sealed(b"\4\2" + string(b"f") + string(b"v") + string(b"g") + string(b"w" * 100)),
    "hash as a zipmap": sealed(b"\x09" + string(zipmap((b"f", b"v"), (b"g" * 300, b"w" * 254), unused=3))),
    "hash as a zipmap of unknown length": sealed(b"\x09" + string(zipmap((b"f", b"v"), count=254))),
    "hash as a ziplist": sealed(b"\x0d" + string(_PAIRS)),
    "hash with absolute deadlines": sealed(b"\x16\2\x81\0\0\x03\x8d\x7e\xa4\xc6\x7f\1f\1v\0\1g\1w", 12),
    "hash with deadlines": sealed(b"\x18" + (4000000000000).to_bytes(8, "little") + b"\3\1\1f\1v\0\1g\1w\5\1h\1x", 12),
    "packed hash with deadlines": sealed(
        b"\x19" + (4000000000000).to_bytes(8, "little")
        + string(listpack.encode([b"f", b"v", b"4000000000000", b"g", b"w", b"4000000000001", b"h", b"x", b"0"])), 12,
    ),
    "packed hash with deadlines, candidate": sealed(
        b"\x17" + string(listpack.encode([b"f", b"v", b"4000000000000", b"g", b"w", b"0"])), 12
    ),
    "hash of a packed template": sealed(
        b"\x1d\0" + string(listpack.encode([b"f", b"g"])) + string(listpack.encode([b"7", b"v", b"w"])), 15
    ),
    "hash of a template": sealed(b"\x1f\1\2\1f\1g\1v\1w", 15),
    "stream 1": sealed(_stream(15, b"")),
    "stream 1 with a group": sealed(_stream(15, b"", _GROUP % (b"", b""))),
    "stream 2": sealed(_stream(19, _COUNTERS, _GROUP % (b"\1", b""))),
    "stream 3": sealed(_stream(21, _COUNTERS, _GROUP % (b"\1", _SEEN)), 11),
    "stream 3, reads unknown": sealed(_stream(21, _COUNTERS, _GROUP % (b"\x81" + b"\xff" * 8, _SEEN)), 11),
    "stream 5": sealed(_stream(27, _COUNTERS, _GROUP % (b"\1", _SEEN) + b"\0", b"\x40\x64\x40\x64\0\0\0"), 14),
    "followed by junk": sealed(b"\0\5hellojunk"),
}  # fmt: skip

BAD: dict[str, bytes] = {
    "newer version": sealed(b"\0\5hello", 16),
    "wrong checksum": sealed(b"\0\5hello")[:-1] + b"x",
    "too short": b"123456789",
    "no type": sealed(b""),
    "unknown type": sealed(b"\x64\5hello"),
    "opcode": sealed(b"\xff"),
    "cut string": sealed(b"\0\x3fhello" + b"\0" * 10),
    "huge string": sealed(b"\0\x81\x7f" + b"\xff" * 7 + b"hello"),
    "unknown string encoding": sealed(b"\0\xc4\5hello"),
    "unknown length": sealed(b"\0\x82\5hello"),
    "bad compression": sealed(b"\0" + lzf_string(b"\0a\xe0\x40\1", 74)),
    "compression of another size": sealed(b"\0" + lzf_string(b"\0a\xe0\x40\0", 75)),
    "empty list": sealed(b"\1\0"),
    "list of 2^63": sealed(b"\1\x81\x80" + b"\0" * 7 + b"\1a"),
    "quicklist of nothing": sealed(b"\x12\0"),
    "quicklist of an empty node": sealed(b"\x12\1\2" + string(listpack.encode([]))),
    "unknown node": sealed(b"\x12\1\3" + string(listpack.encode([b"a"]))),
    "damaged ziplist": sealed(b"\x0a" + string(ziplist(b"a")[:-1] + b"x")),
    "empty ziplist": sealed(b"\x0a" + string(ziplist())),
    "ziplist of another length": sealed(b"\x0a" + string(ziplist(b"a", count=3))),
    "empty set": sealed(b"\2\0"),
    "set with a member twice": sealed(b"\2" + strings(b"a", b"a")),
    "empty intset": sealed(b"\x0b" + string(b"\2\0\0\0\0\0\0\0")),
    "intset of width 3": sealed(b"\x0b" + string(b"\3\0\0\0\1\0\0\0abc")),
    "intset of 2^32-1": sealed(b"\x0b" + string(b"\2\0\0\0\xff\xff\xff\xff\1\0")),
    "empty set listpack": sealed(b"\x14" + string(listpack.encode([])), 11),
    "zset of no number": sealed(b"\5\1\1a" + struct.pack("<d", float("nan"))),
    "zset of no number as text": sealed(b"\3\1\1a\xfd"),
    "zset with a member twice": sealed(b"\5\2" + 2 * (b"\1a" + b"\0" * 8)),
    "empty zset": sealed(b"\5\0"),
    "odd zset ziplist": sealed(b"\x0c" + string(ziplist(b"a", 1, b"b"))),
    "hash with a field twice as a ziplist": sealed(b"\x0d" + string(ziplist(b"f", 1, b"f", 2))),
    "hash as an empty zipmap": sealed(b"\x09" + string(zipmap())),
    "hash with a field twice as a zipmap": sealed(b"\x09" + string(zipmap((b"f", b"v"), (b"f", b"w")))),
    "deadline out of range": sealed(b"\x18" + b"\0" * 8 + b"\1\x81\x7f" + b"\xff" * 7 + b"\1f\1v", 12),
    "template of the file": sealed(b"\x20\0\1v", 15),
    "unsorted template": sealed(b"\x1f\1\2\1f\1f\1v\1w", 15),
    "module": sealed(b"\7\1\0"),
    "stream of another length": sealed(_stream(19, _COUNTERS).replace(b"\2\3\6\1\1", b"\3\3\6\1\1")),
    "stream that read more than was added": sealed(_stream(19, _COUNTERS, _GROUP % (b"\4", b""))),
    "stream with a consumer twice": sealed(
        _stream(19, _COUNTERS, b"\1" + string(b"g") + b"\1\1\1\0\2" + 2 * (string(b"c") + b"\0" * 8 + b"\0"))
    ),
    "stream with a group twice": sealed(_stream(19, _COUNTERS, b"\2" + 2 * (string(b"g") + b"\1\1\1\0\0"))),
    "stream with IDMP for 0 s": sealed(_stream(26, _COUNTERS, b"\0", b"\0\1\0\0\0"), 14),
}  # fmt: skip

# Redis takes these, unless sanitize-dump-payload says to look at everything.
WORSE: dict[str, bytes] = {
    "stream with an entry at no one": sealed(
        _stream(19, _COUNTERS, b"\1" + string(b"g") + b"\1\1\1\1" + b"\0" * 16 + b"\0" * 8 + b"\0\0")
    ),
}
