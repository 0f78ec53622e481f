"""Effects to the bytes of an append-only file, in the form redis-server reads.

Commands stand there as a client would send them: SELECT where the database changes, a unit of several commands between
MULTI and EXEC. A line that begins with `#` between commands is an annotation, which redis-server skips: `#TS:`, the
seconds since 1970 at which what follows was written (aof-timestamp-enabled), and ours, `#CRC:`. That one ends every
batch and holds the CRC-32 of all bytes since the end of the previous such line, or since the file's start, so that a
flipped bit is found when the file is read.
"""

from typing import Final
from zlib import crc32

from broker.keyspace.effects import Unit
from protocol.native import prefer
from protocol.replies import bulks

_MULTI: Final = bulks([b"MULTI"])
_EXEC: Final = bulks([b"EXEC"])


def sealed(batch: bytes, checksum: int = 0) -> bytes:
    """The batch with its checksum line.

    `checksum` is that of the bytes before it which no checksum line covers (`CommandReader.checksum` of a file that is
    written further); 0 after a checksum line and at a file's start.
    """
    return b"%b#CRC:%08x\r\n" % (batch, crc32(batch, checksum))


def command_run(units: list[Unit], start: int, database: int | None) -> tuple[bytes, int]:
    """The bytes of the units from `start` on that are one command each for this database, and where they end.

    It may end sooner. Nearly all units are of this kind.
    """
    parts = []
    end = start
    while end < len(units) and len(units[end]) == 1 and units[end][0][0] == database:
        parts.append(bulks(units[end][0][1]))
        end += 1
    return b"".join(parts), end


prefer(globals(), "broker.formats.aof._writing", "command_run")


class CommandWriter:
    """Turns effects into bytes; it remembers what the bytes so far have said.

    `database` is the one that was selected last, None at the start of a file, where nothing is taken for granted.
    """

    __slots__ = ("_seconds", "database")

    def __init__(self) -> None:
        self.database: int | None = None
        self._seconds = 0

    def encode_all(self, units: list[Unit]) -> bytes:
        """The bytes of several units."""
        parts = []
        at = 0
        while at < len(units):
            run, end = command_run(units, at, self.database)
            if end == at:
                run = self.encode(units[at])
                end += 1
            parts.append(run)
            at = end
        return b"".join(parts)

    def encode(self, effects: Unit) -> bytes:
        """The bytes of one unit: the effects of one command or of one transaction."""
        if not effects:
            return b""
        parts = []
        # As in Redis, the first SELECT comes before MULTI.
        first = effects[0][0]
        if first != self.database:
            parts.append(self._select(first))
        if len(effects) > 1:
            parts.append(_MULTI)
        for database, command in effects:
            if database != self.database:
                parts.append(self._select(database))
            parts.append(bulks(command))
        if len(effects) > 1:
            parts.append(_EXEC)
        return b"".join(parts)

    def _select(self, database: int) -> bytes:
        self.database = database
        return bulks([b"SELECT", b"%d" % database])

    def timestamp(self, seconds: int) -> bytes:
        """The annotation for what is written at that time (since 1970), nothing where the last one still holds."""
        if seconds <= self._seconds:
            return b""
        self._seconds = seconds
        return b"#TS:%d\r\n" % seconds
