"""The constants of Redis's dump format: versions, types of values, opcodes of files, forms of lengths.

Sources: rdb.h of Redis 8.10 and of Valkey 9.
"""

from typing import Final

# Versions. A server refuses dumps newer than itself, so a dump states the oldest version that has all it uses.
VERSION_7_0: Final = 10
VERSION_7_2: Final = 11
VERSION_7_4: Final = 12
NEWEST_REDIS: Final = 15
# Valkey numbers its own versions from 80 on; before that it used 11.
OLDEST_VALKEY: Final = 80
NEWEST_VALKEY: Final = 89

# A file begins with one of these, and its version in decimal digits, nine bytes in all.
MAGIC: Final = b"REDIS"
VALKEY_MAGIC: Final = b"VALKEY"
FILE_HEADER_BYTES: Final = 9

FIRST_CHECKSUMMED: Final = 5
"""Files of this and newer versions end with a checksum."""

# Types of values. Newer ones may have the same content as older ones, packed differently.
STRING: Final = 0
LIST: Final = 1
SET: Final = 2
ZSET: Final = 3
HASH: Final = 4
ZSET_2: Final = 5
MODULE_PRE_GA: Final = 6
MODULE_2: Final = 7
HASH_ZIPMAP: Final = 9
LIST_ZIPLIST: Final = 10
SET_INTSET: Final = 11
ZSET_ZIPLIST: Final = 12
HASH_ZIPLIST: Final = 13
LIST_QUICKLIST: Final = 14
STREAM_LISTPACKS: Final = 15
HASH_LISTPACK: Final = 16
ZSET_LISTPACK: Final = 17
LIST_QUICKLIST_2: Final = 18
STREAM_LISTPACKS_2: Final = 19
SET_LISTPACK: Final = 20
STREAM_LISTPACKS_3: Final = 21
HASH_METADATA_PRE_GA: Final = 22
VALKEY_HASH_2: Final = 22
HASH_LISTPACK_EX_PRE_GA: Final = 23
HASH_METADATA: Final = 24
HASH_LISTPACK_EX: Final = 25
STREAM_LISTPACKS_4: Final = 26
STREAM_LISTPACKS_5: Final = 27
ARRAY: Final = 28
HASH_TEMPLATE_LISTPACK: Final = 29
HASH_TEMPLATE_LISTPACK_REF: Final = 30
HASH_TEMPLATE_ARRAY: Final = 31
HASH_TEMPLATE_ARRAY_REF: Final = 32

# Opcodes between the keys of a file.
OP_HASH_TEMPLATE: Final = 242
OP_KEY_META: Final = 243
VALKEY_OP_SLOT_IMPORT: Final = 243
OP_SLOT_INFO: Final = 244
OP_FUNCTION2: Final = 245
OP_FUNCTION_PRE_GA: Final = 246
OP_MODULE_AUX: Final = 247
OP_IDLE: Final = 248
OP_FREQ: Final = 249
OP_AUX: Final = 250
OP_RESIZEDB: Final = 251
OP_EXPIRETIME_MS: Final = 252
OP_EXPIRETIME: Final = 253
OP_SELECTDB: Final = 254
OP_EOF: Final = 255

# Lengths: the upper two bits of the first byte are 0 (the rest is the length), 1 (14 bits), 2 (32 or 64 bits follow,
# big-endian) or 3 (no length: the rest is how a string is encoded).
LENGTH_14: Final = 0x40
LENGTH_32: Final = 0x80
LENGTH_64: Final = 0x81
ENCODED: Final = 0xC0
ENCODED_INT8: Final = 0xC0
ENCODED_INT16: Final = 0xC1
ENCODED_INT32: Final = 0xC2
ENCODED_LZF: Final = 0xC3

# A node of a quicklist is one large element, or a listpack of several.
PLAIN_NODE: Final = 1
PACKED_NODE: Final = 2

# Flags of an entry in a stream's listpack.
ENTRY_DELETED: Final = 1
ENTRY_SAME_FIELDS: Final = 2

# The field names of a template are in one listpack, or separate strings.
TEMPLATE_FIELDS_LISTPACK: Final = 0
TEMPLATE_FIELDS_RAW: Final = 1

MAX_FIELD_DEADLINE: Final = (1 << 48) - 1
"""The latest possible deadline of a hash's field, in wall-clock milliseconds."""


def is_readable(version: int) -> bool:
    """Whether this broker can read dumps of this version."""
    return version <= NEWEST_REDIS or OLDEST_VALKEY <= version <= NEWEST_VALKEY


_OLDEST_VERSION: Final = {
    SET_LISTPACK: VERSION_7_2,
    STREAM_LISTPACKS_3: VERSION_7_2,
    HASH_METADATA: VERSION_7_4,
    HASH_LISTPACK_EX: VERSION_7_4,
    # Introduced by newer versions. But a server that lacks a type refuses it anyway, and none refuses a lower version.
    STREAM_LISTPACKS_4: VERSION_7_4,
    STREAM_LISTPACKS_5: VERSION_7_4,
}


def oldest_version(kind: int) -> int:
    """Returns the version for a dump of a value written with this type."""
    return _OLDEST_VERSION.get(kind, VERSION_7_0)
