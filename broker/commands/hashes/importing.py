"""HIMPORT: many hashes with the same fields, whose names are sent once."""

from __future__ import annotations

from itertools import chain
from typing import Final

from broker.broker import Client
from broker.clients.fieldsets import Fieldset
from broker.commands.hashes.fields import HSET
from broker.table.command import DENYOOM, OW, UPDATE, WRITE, command, container, key
from broker.values.hash import Hash
from protocol.errors import WRONG_TYPE, CommandError
from protocol.replies import OK, integer

DUPLICATE_FIELD: Final = b"ERR duplicate field name in fieldset"
NO_SUCH_FIELDSET: Final = b"ERR no such fieldset"
VALUE_COUNT: Final = b"ERR value count does not match fieldset field count"

_ALL_SHARDS: Final = ("request_policy:all_shards",)

container("HIMPORT", group="hash", since="8.10.0", categories=("hash",),
          summary="A container for commands that import hashes.")  # fmt: skip


def _fieldsets(session: Client) -> dict[bytes, Fieldset]:
    broker = session.broker
    return broker.fieldsets.of(session, broker.scripting.interruption.current if session.is_script else None)


@command("HIMPORT|PREPARE", arity=-4, flags=DENYOOM, group="hash", since="8.10.0",
         syntax="fieldset-name field ...", summary="Names the fields of hashes that the client will import.",
         complexity="O(N*log(N)) where N is the number of fields", tips=_ALL_SHARDS)  # fmt: skip
def himport_prepare(session: Client, args: list[bytes]) -> bytes:
    names = args[3:]
    if len(set(names)) != len(names):
        raise CommandError(DUPLICATE_FIELD)
    _fieldsets(session)[args[2]] = Fieldset(names)
    return OK


@command("HIMPORT|SET", arity=-5, flags=WRITE | DENYOOM, keys=(key(OW, UPDATE, at=2),), group="hash", since="8.10.0",
         syntax="key fieldset-name value ...", summary="Stores a hash whose fields were named before.",
         complexity="O(N) where N is the number of fields")  # fmt: skip
def himport_set(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    name = args[2]
    old = db.get(name)
    if old is not None and type(old) is not Hash:
        raise CommandError(WRONG_TYPE)
    fieldset = _fieldsets(session).get(args[3])
    if fieldset is None:
        raise CommandError(NO_SUCH_FIELDSET)
    values = args[4:]
    fields = fieldset.names
    if len(values) != len(fields):
        raise CommandError(VALUE_COUNT)
    pairs = {fields[at]: values[at] for at in fieldset.order}
    db.set(name, Hash(pairs))
    # In words that every server knows, and that need no fieldset.
    removal = [] if old is None else [[b"DEL", name]]
    db.keyspace.effects.replace_with(*removal, [b"HSET", name, *chain.from_iterable(pairs.items())])
    db.changed(name, HSET)
    db.notify_fields(HSET, name, list(pairs))
    return OK


@command("HIMPORT|DISCARD", arity=3, flags=0, group="hash", since="8.10.0",
         syntax="fieldset-name", summary="Forgets a fieldset.",
         complexity="O(N) where N is the number of fields", tips=_ALL_SHARDS)  # fmt: skip
def himport_discard(session: Client, args: list[bytes]) -> bytes:
    return integer(int(_fieldsets(session).pop(args[2], None) is not None))


@command("HIMPORT|DISCARDALL", arity=2, flags=0, group="hash", since="8.10.0",
         summary="Forgets all fieldsets of the client.",
         complexity="O(N) where N is the number of fieldsets", tips=_ALL_SHARDS)  # fmt: skip
def himport_discardall(session: Client, args: list[bytes]) -> bytes:
    fieldsets = _fieldsets(session)
    count = len(fieldsets)
    fieldsets.clear()
    return integer(count)
