"""Encoding effects as an append-only file that redis-server can read.

The file contains commands as a client would send them, SELECT where the database changes, and units of several commands
between MULTI and EXEC. A line that begins with `#` between commands is an annotation, which redis-server skips: `#TS:`
with the Unix time in seconds at which the following commands were written (aof-timestamp-enabled), and our own `#CRC:`.
That line ends every batch and has the CRC-32 of all bytes since the previous such line or the start of the file, so
that reading the file detects flipped bits.
"""

from typing import Final
from zlib import crc32

from broker.keyspace.effects import Unit
from protocol.native import prefer
from protocol.replies import bulks

_MULTI: Final = bulks([b"MULTI"])
_EXEC: Final = bulks([b"EXEC"])


def sealed(batch: bytes, checksum: int = 0) -> bytes:
    """Returns the batch with its checksum line.

    `checksum` is that of the preceding bytes that no checksum line covers (`CommandReader.checksum` when appending to a
    file); 0 after a checksum line and at the start of a file.
    """
    return b"%b#CRC:%08x\r\n" % (batch, crc32(batch, checksum))


def unit_run(units: list[Unit], start: int, database: int | None) -> tuple[bytes, int]:
    """Returns the bytes of the units from `start` on whose commands are all for this database, and their end.

    It may stop earlier. Nearly all units are of this kind.
    """
    parts = []
    end = start
    while end < len(units) and all(selected == database for selected, _ in units[end]):
        unit = units[end]
        if len(unit) > 1:
            parts.append(_MULTI)
        parts += [bulks(command) for _, command in unit]
        if len(unit) > 1:
            parts.append(_EXEC)
        end += 1
    return b"".join(parts), end


prefer(globals(), "broker.formats.aof._writing", "unit_run")


class CommandWriter:
    """Turns effects into bytes, and keeps track of the selected database and the last timestamp.

    `database` is the one selected last, None at the start of a file, where nothing may be assumed.
    """

    __slots__ = ("_seconds", "database")

    def __init__(self) -> None:
        self.database: int | None = None
        self._seconds = 0

    def encode_all(self, units: list[Unit]) -> bytes:
        """Returns the bytes of several units."""
        parts = []
        at = 0
        while at < len(units):
            run, end = unit_run(units, at, self.database)
            if end == at:
                run = self.encode(units[at])
                end += 1
            parts.append(run)
            at = end
        return b"".join(parts)

    def encode(self, effects: Unit) -> bytes:
        """Returns the bytes of one unit: the effects of one command or of one transaction."""
        if not effects:
            return b""
        parts = []
        # As in Redis, the first SELECT precedes MULTI.
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
        """Returns the annotation for that Unix time, b"" if the last one is still valid."""
        if seconds <= self._seconds:
            return b""
        self._seconds = seconds
        return b"#TS:%d\r\n" % seconds
