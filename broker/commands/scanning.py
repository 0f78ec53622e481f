"""What the commands of the SCAN family share: the cursor, the options, the reply.

Redis keeps small collections in one block of memory and returns them whole in one call, whatever COUNT says;
only a collection in a hash table is returned in steps. Clients have come to rely on that, so `scan_elements`
does the same where the encoding would be such a block.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from broker.process.globs import Glob
from broker.table.arguments import integer
from protocol.errors import SYNTAX, CommandError
from protocol.numbers import parse_unsigned
from protocol.replies import array_header, bulk, bulks

INVALID_CURSOR: Final = b"ERR invalid cursor"
NOVALUES_ELSEWHERE: Final = b"ERR NOVALUES option can only be used in HSCAN"
EMPTY_SCAN: Final = b"*2\r\n$1\r\n0\r\n*0\r\n"
DEFAULT_COUNT: Final = 10

Window = Callable[[int, int], tuple[int, list[bytes]]]
"""(cursor, count) -> (next cursor, elements), as broker.values.positions.window."""


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """`glob` is None where every element matches."""

    count: int
    glob: Glob | None
    no_values: bool


def scan_cursor(argument: bytes) -> int:
    """A cursor; raises for what isn't an unsigned 64-bit integer."""
    cursor = parse_unsigned(argument)
    if cursor is None:
        raise CommandError(INVALID_CURSOR)
    return cursor


def scan_options(args: Sequence[bytes], *, of_hash: bool = False) -> ScanOptions:
    """The options of HSCAN, SSCAN and ZSCAN, which begin at the fourth argument."""
    count = DEFAULT_COUNT
    glob: Glob | None = None
    no_values = False
    at, end = 3, len(args)
    while at < end:
        option = args[at].upper()
        if option == b"COUNT" and at + 1 < end:
            count = integer(args[at + 1])
            if count < 1:
                raise CommandError(SYNTAX)
            at += 2
        elif option == b"MATCH" and at + 1 < end:
            glob = Glob(args[at + 1])
            if glob.matches_all:
                glob = None
            at += 2
        elif option == b"NOVALUES":
            if not of_hash:
                raise CommandError(NOVALUES_ELSEWHERE)
            no_values = True
            at += 1
        else:
            raise CommandError(SYNTAX)
    return ScanOptions(count, glob, no_values)


def scan_elements(
    window: Window, everything: Iterable[bytes], whole: bool, cursor: int, options: ScanOptions
) -> tuple[int, list[bytes]]:
    """The next cursor and the elements that match; all of `everything` at once if `whole`."""
    if whole:
        cursor, elements = 0, list(everything)
    else:
        cursor, elements = window(cursor, options.count)
    if options.glob is not None:
        match = options.glob.match
        elements = [element for element in elements if match(element)]
    return cursor, elements


def scan_reply(cursor: int, elements: Sequence[bytes]) -> bytes:
    """The reply: the cursor as a bulk string, and an array of bulk strings."""
    return array_header(2) + bulk(b"%d" % cursor) + bulks(elements)
