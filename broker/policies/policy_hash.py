"""Where the policies of a stream are stored: in an ordinary hash beside it, `~policy:{T}:K`.

Servers without policies do nothing with it. Its fields are `<group> NUL <option>`, and `<option>` for the stream
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from broker.keyspace.database import Database
from broker.keyspace.events import DEL, HASH, Event
from broker.policies.companion_keys import companion_key, stream_beside
from broker.values.hash import Hash
from broker.values.streams.group_policy import OPTIONS, GroupPolicy, policy_of

PREFIX: Final = b"~policy:{"

HSET: Final = Event(HASH, b"hset")
HDEL: Final = Event(HASH, b"hdel")


def policy_key(stream: bytes) -> bytes:
    """Returns the key of the hash with the policies of the stream at `stream`."""
    return companion_key(PREFIX, stream)


def stream_key(key: bytes) -> bytes | None:
    """Returns the key of the stream whose policies are in the hash at `key`; None if that is no such hash."""
    return stream_beside(PREFIX, key)


def field(group: bytes, option: bytes) -> bytes:
    """Returns the field with an option of a group's policy."""
    return group + b"\0" + option


def policies_in(fields: Mapping[bytes, bytes]) -> dict[bytes, GroupPolicy]:
    """Returns the policy of each group that has one. What is not a policy is skipped, since clients can write there."""
    texts: dict[bytes, dict[bytes, bytes]] = {}
    for name, text in fields.items():
        group, separator, option = name.rpartition(b"\0")
        if separator and option in OPTIONS:
            texts.setdefault(group, {})[option] = text
    found = {group: policy_of(options) for group, options in texts.items()}
    return {group: policy for group, policy in found.items() if policy}


def store(database: Database, stream: bytes, texts: Mapping[bytes, bytes], absent: Iterable[bytes]) -> None:
    """Stores the fields `texts` of a policy and removes those that are `absent`; the effects are plain commands.

    Raises WRONGTYPE if something else is there.
    """
    name = policy_key(stream)
    fields = database.get_as(name, Hash)
    known: Mapping[bytes, bytes] = {} if fields is None else fields
    unset = [option for option in absent if option in known]
    effects = []
    if texts:
        if fields is None:
            fields = Hash()
            database.add(name, fields)
        for option, text in texts.items():
            fields[option] = text
        effects.append([b"HSET", name, *[word for pair in texts.items() for word in pair]])
        database.changed(name, HSET, len(texts))
    if unset and fields is not None:
        for option in unset:
            fields.discard(option)
        effects.append([b"HDEL", name, *unset])
        database.changed(name, HDEL, len(unset))
        if not fields:
            database.delete(name)
            database.notify(DEL, name)
    database.keyspace.effects.replace_with(*effects)
