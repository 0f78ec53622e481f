"""Receiving the RDB file of a full synchronization: its header, and its bytes into a file without a name.

The file is written by a thread, since a disk that is full of unwritten pages may make a write wait.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Final

import trio

from broker.replication.incoming import LinkLost
from broker.replication.link_status import UNKNOWN_SIZE

if TYPE_CHECKING:
    from broker.process.log import Log
    from broker.replication.incoming import Incoming
    from broker.replication.link_status import LinkStatus

MARK_BYTES: Final = 40

GATHERED: Final = 1 << 20
"""Bytes that are written at once."""

_LOST: Final = "I/O error trying to sync with MASTER: connection lost"
_SILENT: Final = (
    "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in"
    " redis.conf to a larger value."
)
_SIZE: Final = re.compile(rb"\$(\d{1,19})")


async def receive_payload(incoming: Incoming, file: IO[bytes], status: LinkStatus, log: Log) -> None:
    """Receive a file into `file`, up to its end. Raises LinkLost, and OSError if it can't be written."""
    size, mark = await _header(incoming)
    status.receiving(size)
    if mark:
        log.notice("MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to disk")
    else:
        log.notice(f"MASTER <-> REPLICA sync: receiving {size} bytes from master to disk")
    gathered = bytearray()
    ended = not size
    while not ended:
        data = await incoming.some(_LOST, _SILENT)
        gathered += data
        if mark:
            # The mark may have begun in what came before, which therefore stays until more has come.
            at = gathered.find(mark, max(0, len(gathered) - len(data) - len(mark) + 1))
            if at >= 0:
                incoming.push_back(bytes(gathered[at + len(mark) :]))
                del gathered[at:]
                ended = True
            kept = 0 if ended else min(len(gathered), len(mark) - 1)
        else:
            excess = status.payload_read + len(gathered) - size
            if excess >= 0:
                incoming.push_back(bytes(gathered[len(gathered) - excess :]))
                del gathered[len(gathered) - excess :]
                ended = True
            kept = 0
        if ended or len(gathered) >= GATHERED:
            part = bytes(gathered[: len(gathered) - kept])
            del gathered[: len(part)]
            await trio.to_thread.run_sync(file.write, part)
            status.payload_read += len(part)


async def _header(incoming: Incoming) -> tuple[int, bytes]:
    """Returns the file's size and b"", or UNKNOWN_SIZE and the mark that ends it."""
    line = b""
    while not line:
        line = await incoming.line("I/O error reading bulk count from MASTER: connection lost", _SILENT)
    if line.startswith(b"-"):
        raise LinkLost(f"MASTER aborted replication with an error: {_shown(line[1:])}")
    if line.startswith(b"$EOF:") and len(line) == 5 + MARK_BYTES:
        return UNKNOWN_SIZE, line[5:]
    sized = _SIZE.fullmatch(line)
    if sized is None:
        raise LinkLost(
            f"Bad protocol from MASTER, the first byte is not '$' (we received '{_shown(line)}'), are you sure the host"
            " and port are right?"
        )
    return int(sized[1]), b""


def _shown(line: bytes) -> str:
    return line[:256].decode("utf-8", "backslashreplace")
