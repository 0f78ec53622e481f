"""Keys beside a stream, where what the broker does with it on its own is stored: `~policy:{T}:K` for the stream K.

T is K's hash tag, or K if it has none, so both are in the same slot of a cluster. For a key without a tag that
contains a closing brace there is no name of which that is true; T is empty then. So T never contains such a brace, and
no two streams have the same key beside them. Such a key holds an ordinary value, which every server keeps
through rewrites, RDB files and replication. It belongs to the stream's name: DEL and RENAME of the stream leave it.
"""

from __future__ import annotations


def companion_key(prefix: bytes, stream: bytes) -> bytes:
    """Returns the key beside the stream at `stream` that begins with `prefix`, which ends with a brace."""
    return prefix + _hash_tag(stream) + b"}:" + stream


def _hash_tag(key: bytes) -> bytes:
    """Returns the part of a key that decides on its slot, b"" if no tag can have it."""
    begin = key.find(b"{")
    end = key.find(b"}", begin + 1)
    tag = key[begin + 1 : end] if 0 <= begin < end - 1 else key
    return b"" if b"}" in tag else tag


def stream_beside(prefix: bytes, key: bytes) -> bytes | None:
    """Returns the key of the stream that `key` belongs to; None if it is no such key."""
    if not key.startswith(prefix):
        return None
    stream = key[len(prefix) :].partition(b"}:")[2]
    return stream if companion_key(prefix, stream) == key else None
