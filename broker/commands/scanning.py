"""The cursor, options and reply shared by the SCAN family.

Redis keeps small collections in one block of memory and returns them whole in one call, whatever COUNT says;
only a collection in a hash table is returned in steps. Clients rely on that, so `scan_elements` does the same
where Redis's encoding would be such a block.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from broker.process.globs import Glob
from broker.table.arguments import at_least
from protocol.errors import SYNTAX, CommandError
from protocol.numbers import parse_unsigned
from protocol.replies import array_header, bulk, bulks

INVALID_CURSOR: Final = b"ERR invalid cursor"
NOVALUES_ELSEWHERE: Final = b"ERR NOVALUES option can only be used in HSCAN"
EMPTY_SCAN: Final = b"*2\r\n$1\r\n0\r\n*0\r\n"
DEFAULT_COUNT: Final = 10

Window = Callable[[int, int], tuple[int, list[bytes]]]
"""(cursor, count) -> (next cursor, elements), like broker.values.positions.window."""


def scan_cursor(argument: bytes) -> int:
    """Returns the cursor; raises unless the argument is an unsigned 64-bit integer."""
    cursor = parse_unsigned(argument)
    if cursor is None:
        raise CommandError(INVALID_CURSOR)
    return cursor


def glob_of(pattern: bytes) -> Glob | None:
    """Returns MATCH's pattern, or None if every element matches."""
    glob = Glob(pattern)
    return None if glob.matches_all else glob


SCAN_VALUES: Final[Mapping[str, Callable[..., object]]] = {"MATCH": glob_of, "COUNT": at_least(1, SYNTAX)}
SCAN_DEFAULTS: Final = {"COUNT": DEFAULT_COUNT}
ONLY_OF_HASHES: Final = {"NOVALUES": NOVALUES_ELSEWHERE}
"""Defaults that the parsers of the whole family share."""


def scan_elements(
    window: Window, everything: Iterable[bytes], whole: bool, cursor: int, glob: Glob | None, count: int
) -> tuple[int, list[bytes]]:
    """Returns the next cursor and the matching elements; `whole` returns all of `everything` in one call."""
    if whole:
        cursor, elements = 0, list(everything)
    else:
        cursor, elements = window(cursor, count)
    if glob is not None:
        match = glob.match
        elements = [element for element in elements if match(element)]
    return cursor, elements


def scan_reply(cursor: int, elements: Sequence[bytes]) -> bytes:
    """Encodes the cursor as a bulk string, followed by an array of bulk strings."""
    return array_header(2) + bulk(b"%d" % cursor) + bulks(elements)
