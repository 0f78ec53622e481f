"""What the only consumer of a stream takes over from its predecessors: all that is pending for them, in order.

Where one consumer at a time reads a stream, each one under a new name, an entry pending under any other name was left
behind, and need not be idle for ack_wait to be taken. Nothing new is read before all of it is taken. So of two entries
with one key, the earlier one is still handled first, whatever ended the predecessor. There are two exceptions: entries
that wait for their next attempt without a key stay where they are, and entries that killed their consumer while alone
in hand come after all others, so that they hold up none of them.
"""

from consumers.groups import PAGE, Entry, Group
from consumers.options import Succession
from consumers.orphans import Orphan, Orphans
from consumers.owners import DELAYED, PARKED, Phase, owner_of, read_owner

__all__ = ["Inheritance"]

RELEASED = ""
"""The owner of an entry that a server with XNACK has released."""


class Inheritance:
    """The entries that were left behind in a group's only stream. taken: whether there are no more."""

    def __init__(self, group: Group, orphans: Orphans, succession: Succession) -> None:
        self._group = group
        self._orphans = orphans
        self._crashed = succession is Succession.AFTER_CRASH
        self._skipped = {owner_of(group.consumer, phase) for phase in Phase} | {DELAYED, PARKED, RELEASED}
        self._first = "-"
        self._convicts = False
        self.taken = False

    async def take(self, room: int) -> list[Entry]:
        """Take up to `room` of them. Raises as Group's methods do; what was not taken then is still to be taken."""
        stream = self._group.streams[0]
        rows = await self._group.pending_of_all(stream, self._first)
        found: list[Orphan] = []
        last: bytes | None = None
        for id, owner, deliveries in rows:
            if len(found) == room:
                break
            last = id
            if owner not in self._skipped and (read_owner(owner)[1] is Phase.ALONE) == self._convicts:
                found.append(Orphan(stream, id, owner, deliveries))
        entries = await self._claim(found)
        if last is not None and (len(rows) == PAGE or last != rows[-1][0]):
            self._first = f"({last.decode()}"
        else:
            self._first = "-"
            self.taken, self._convicts = self._convicts, True
        return entries

    async def _claim(self, orphans: list[Orphan]) -> list[Entry]:
        if self._crashed:
            entries = await self._orphans.take(orphans, 0)
        else:
            owners = dict.fromkeys(one.owner for one in orphans)
            entries = [
                entry
                for owner in owners
                for entry in await self._orphans.resume([one for one in orphans if one.owner == owner])
            ]
        return sorted(entries, key=lambda entry: [int(part) for part in entry.id.split(b"-")])
