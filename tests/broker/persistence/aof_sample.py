"""A small append-only file with commands of every family, and what stands where in it."""

from dataclasses import dataclass, field
from zlib import crc32

from broker.formats.aof.writing import CommandWriter, sealed
from broker.keyspace.effects import Unit
from protocol.replies import bulks


def words(*lines: str, database: int = 0) -> Unit:
    """One unit: each line a command, its words separated by blanks."""
    return [(database, [word.encode() for word in line.split()]) for line in lines]


STRINGS: list[Unit] = [
    words("SET string value PXAT 4102444800000"),
    [(0, [b"SET", b"", b"\r\n#CRC:0123\r\n*1\r\n$5\r\nMULTI\r\n"])],
    [(0, [b"APPEND", b"string", bytes(range(256))])],
    words("SETRANGE string 3 x", "SETBIT bits 7 1", "BITFIELD bits SET u8 0 255"),
    words("MSET a 1 b 2", "INCRBY a 41", "PFADD unique x y z", "GEOADD places 13.361389 38.115556 Palermo"),
]
COLLECTIONS: list[Unit] = [
    words("RPUSH list a b c"),
    words("LPOP list", "LPUSH other a"),
    words("LINSERT list BEFORE c x", "LTRIM list 0 5", "LSET list 0 y", "SADD set a b c", "SREM set a"),
    words("SMOVE set set2 b"),
    words("HSET hash field value", "HPEXPIREAT hash 4102444800000 FIELDS 1 field", "HINCRBY hash n 5"),
    words("ZADD scores 1 a 2.5 b", "ZINCRBY scores 1 a", "ZREMRANGEBYRANK scores 5 9"),
    words("SUNIONSTORE union set set2", "ZUNIONSTORE both 1 scores", "SORT list ALPHA STORE sorted"),
]
STREAMS: list[Unit] = [
    words("XADD stream 9-1 job 1"),
    words("XGROUP CREATE stream workers 0 ENTRIESREAD 0"),
    words(
        "XCLAIM stream workers one 0 9-1 TIME 1526919030474 RETRYCOUNT 1 FORCE JUSTID LASTID 9-1",
        "XGROUP SETID stream workers 9-1 ENTRIESREAD 1",
    ),
    words("XACK stream workers 9-1", "XTRIM stream MAXLEN = 100", "XSETID stream 9-2"),
]
KEYS: list[Unit] = [
    words("PEXPIREAT string 4102444800000", database=3),
    [(3, [b"SET", b"k", b"v"]), (9, [b"SET", b"k", b"v"]), (3, [b"MOVE", b"k", b"4"])],
    words("RENAME a c", "COPY c d", "DEL b", "PERSIST string", "SWAPDB 3 9"),
    [(0, [b"FUNCTION", b"LOAD", b"#!lua name=lib\nredis.register_function('f', function() return 1 end)"])],
    words("FLUSHDB", database=9),
    words("FLUSHALL"),
]

BATCHES: list[list[Unit]] = [
    STRINGS[:1],
    STRINGS[1:],
    COLLECTIONS[:3],
    COLLECTIONS[3:],
    STREAMS,
    KEYS[:5],
    KEYS[5:],
]


@dataclass
class Sample:
    """A file and the offsets in it: of the end of each whole unit or annotation, and of each checksum line.

    `commands` are all that a reader delivers, with the offset at which the unit ends that each belongs to.
    """

    data: bytes = b""
    ends: list[int] = field(default_factory=lambda: [0])
    checksums: list[int] = field(default_factory=lambda: [0])
    commands: list[tuple[int, list[bytes]]] = field(default_factory=list)

    def before(self, cut: int) -> int:
        """Where the last whole unit before a cut ends."""
        return max(end for end in self.ends if end <= cut)

    def uncovered(self, offset: int) -> int:
        """The checksum of the bytes before `offset` that no checksum line covers."""
        return crc32(self.data[max(end for end in self.checksums if end <= offset) : offset])


def sample(timestamps: bool = True) -> Sample:
    """The file of BATCHES."""
    made, writer = Sample(), CommandWriter()
    for number, batch in enumerate(BATCHES):
        written = writer.timestamp(1700000000 + number // 2) if timestamps else b""
        if written:
            made.ends.append(len(made.data) + len(written))
        for unit in batch:
            before, selected = len(written), writer.database
            written += writer.encode(unit)
            commands = _commands(unit, selected)
            end = len(made.data) + len(written)
            if commands[0][0] == b"SELECT":
                # Outside of the transaction that it comes before: a unit of its own.
                first = len(made.data) + before + len(bulks(commands[0]))
                made.ends.append(first)
                made.commands.append((first, commands.pop(0)))
            made.ends.append(end)
            made.commands += [(end, command) for command in commands]
        made.data += sealed(written)
        made.ends.append(len(made.data))
        made.checksums.append(len(made.data))
    return made


def _commands(unit: Unit, selected: int | None) -> list[list[bytes]]:
    """What should be written for a unit, said again."""
    found: list[list[bytes]] = []
    for number, (database, command) in enumerate(unit):
        if database != selected:
            found.append([b"SELECT", str(database).encode()])
            selected = database
        if number == 0 and len(unit) > 1:
            found.append([b"MULTI"])
        found.append(command)
    return [*found, [b"EXEC"]] if len(unit) > 1 else found
