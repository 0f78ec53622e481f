"""The conversation with the server that receives keys: AUTH, SELECT, then a RESTORE for each key.

Everything is sent before the first reply is read. If a connection turns out to be closed before anything was
acknowledged, all is sent once more on a new one: a kept connection often has been closed by the other side.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from protocol.replies import bulks

if TYPE_CHECKING:
    import ssl

    from broker.migration.links import Address, Link, Opener

CONNECTING: Final = b"IOERR error or timeout connecting to the client"
WRITING: Final = b"IOERR error or timeout writing to target instance"
READING: Final = b"IOERR error or timeout reading to target instance"

_PIECE: Final = 64 << 10
"""Bytes sent at once; the timeout applies to each piece."""


@dataclass(slots=True)
class Transfer:
    """What is sent: `restores` are the encoded RESTORE commands. `credentials` are AUTH's arguments, if any.

    With `context` the connection is encrypted.
    """

    address: Address
    context: ssl.SSLContext | None
    timeout: float
    database: int
    credentials: list[bytes]
    restores: list[bytes]


@dataclass(slots=True)
class Outcome:
    """How it ended: for each key whether the target has it now, and the error's text, b"" without one."""

    acknowledged: list[bool] = field(default_factory=list)
    error: bytes = b""


class _Broken(Exception):
    """The connection failed; `error` is what to tell the client, `retry` whether to try again."""

    def __init__(self, error: bytes, retry: bool) -> None:
        self.error = error
        self.retry = retry


async def transfer(plan: Transfer, link: Link | None, open_link: Opener) -> tuple[Outcome, Link | None]:
    """Send the keys, on `link` if there is a connection already.

    Returns the outcome, and the connection unless it has failed.
    """
    for may_retry in (True, False):
        try:
            link = link or await open_link(plan.address, plan.timeout, plan.context)
        except ConnectionError:
            # Redis takes the connection for made, and then fails to write.
            return Outcome(error=WRITING), None
        except OSError:
            return Outcome(error=CONNECTING), None
        outcome = Outcome()
        try:
            await _converse(plan, link, outcome)
            return outcome, link
        except _Broken as broken:
            link.close()
            link = None
            if not (may_retry and broken.retry and not outcome.error):
                outcome.error = outcome.error or broken.error
                break
        except BaseException:
            link.close()
            raise
    return outcome, None


async def _converse(plan: Transfer, link: Link, outcome: Outcome) -> None:
    """Send everything and note the replies. Raises _Broken."""
    first = []
    if plan.credentials:
        first.append(bulks([b"AUTH", *plan.credentials]))
    if link.database != plan.database:
        first.append(bulks([b"SELECT", b"%d" % plan.database]))
    try:
        await _send(link, first + plan.restores)
    except OSError as problem:
        raise _Broken(WRITING, not isinstance(problem, TimeoutError)) from problem
    refused = b""
    try:
        for _ in first:
            reply = await link.read_line()
            if reply.startswith(b"-") and not refused:
                refused = reply
        for _ in plan.restores:
            reply = refused or await link.read_line()
            if refused:
                # Its reply must be taken off the connection, but it does not count.
                await link.read_line()
            failed = reply.startswith(b"-")
            outcome.acknowledged.append(not failed)
            if failed and not outcome.error:
                outcome.error = b"ERR Target instance replied with error: " + reply[1:]
    except OSError as problem:
        raise _Broken(READING, not (outcome.acknowledged or isinstance(problem, TimeoutError))) from problem
    # After an error it is not certain which database is selected.
    link.database = -1 if outcome.error else plan.database


async def _send(link: Link, commands: list[bytes]) -> None:
    pending = bytearray()
    for command in commands:
        if len(command) < _PIECE:
            pending += command
            if len(pending) < _PIECE:
                continue
        await _send_pieces(link, pending)
        pending = bytearray()
        if len(command) >= _PIECE:
            await _send_pieces(link, command)
    await _send_pieces(link, pending)


async def _send_pieces(link: Link, data: bytes | bytearray) -> None:
    view = memoryview(data)
    for at in range(0, len(view), _PIECE):
        await link.send(view[at : at + _PIECE])
