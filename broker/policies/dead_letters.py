"""Dead letters: an entry that nobody could handle goes to another stream, and is acknowledged, in one unit.

It keeps its own fields and also gets those below. They are the ones that the library `consumers` writes, so its tools
read these dead letters as well. An entry that was sent back and died again has them only once.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from broker.keyspace.database import Database
from broker.keyspace.events import POLICY, Event
from broker.policies.adding import XADD, Undeliverable, add_entry
from broker.values.streams.entry import decode_fields
from broker.values.streams.group import Group
from broker.values.streams.ids import format_id
from broker.values.streams.limits import StreamLimits
from broker.values.streams.stream import Stream

DEAD: Final = Event(POLICY, b"dead-letter")

_OURS: Final = frozenset(
    (
        b"dead-stream", b"dead-id", b"dead-group", b"dead-reason", b"dead-delivery-count", b"dead-consumer",
        b"dead-time", b"redriven-group", b"redriven-id",
    )
)  # fmt: skip

REJECTED: Final = b"rejected with XNACK FATAL"
UNACKNOWLEDGED: Final = b"not acknowledged after %d deliveries"


class Dying(NamedTuple):
    """An entry that is dead: who had it last (empty if nobody), how often it was delivered, and why it is dead."""

    id: int
    consumer: bytes
    deliveries: int
    reason: bytes


class Grave(NamedTuple):
    """Where the dead entries of a group go: to the stream at `target`, or nowhere if that is empty.

    While the broker is out of memory nothing is added, as no client may add anything then.
    """

    database: Database
    stream: bytes
    group: Group
    target: bytes
    limits: StreamLimits
    out_of_memory: bool

    def bury(self, source: Stream, entry: Dying, now: int) -> None:
        """Moves an entry to the dead letters, and acknowledges it. Raises Undeliverable, having changed nothing.

        The effects are added to those of the running command, or wait to be flushed.
        """
        database, id = self.database, entry.id
        text = source.entry(id)
        effects = []
        if text is not None and self.target:
            effects.append(self._add(decode_fields(text), entry, now))
        self.group.acknowledge(id)
        database.keyspace.dirty += 1
        effects.append([b"XACK", self.stream, self.group.name, format_id(id)])
        database.keyspace.effects.replace_with(*effects)
        database.notify(DEAD, self.stream)
        if database.governed:
            self._obey_policies(source, id, added=len(effects) > 1)

    def _obey_policies(self, source: Stream, id: int, *, added: bool) -> None:
        """Removes what the policies of both streams no longer keep. A full stream of dead letters refuses none."""
        database = self.database
        letters = database.governed.get(self.target) if added else None
        if letters is not None:
            letters.added(database.get(self.target))
        governed = database.governed.get(self.stream)
        if governed is not None:
            governed.released(source, [id])

    def _add(self, fields: list[bytes], entry: Dying, now: int) -> list[bytes]:
        """Adds the dead letter; returns the effect."""
        database, target = self.database, self.target
        if self.out_of_memory:
            raise Undeliverable("the broker is out of memory")
        kept = [word for at in range(0, len(fields), 2) if fields[at] not in _OURS for word in fields[at : at + 2]]
        letter = [*kept, b"dead-stream", self.stream, b"dead-id", format_id(entry.id), b"dead-group", self.group.name,
                  b"dead-reason", entry.reason, b"dead-delivery-count", b"%d" % entry.deliveries,
                  b"dead-consumer", entry.consumer, b"dead-time", b"%d" % now]  # fmt: skip
        _, effect = add_entry(database, target, letter, now, self.limits)
        database.changed(target, XADD)
        return effect
