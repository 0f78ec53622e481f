"""The clients that see every request, as MONITOR has them.

While there is one, all clients' requests take the dispatcher's checked path (State.restrict), so that the other has
nothing to ask. A request is shown once it has been executed, a script before its calls. Administrators' commands are
not shown, and secrets are redacted.
"""

from __future__ import annotations

from typing import Final

from broker.clients.session import MONITORING, Session
from broker.observation.redaction import redacted
from broker.process.clock import Clock
from broker.table.command import ADMIN, SCRIPT_RUNNER, SKIP_MONITOR, Command


class Monitors:
    """The monitoring clients, in the order in which they began."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.sessions: list[Session] = []

    def add(self, session: Session) -> None:
        """Show the client every request from now on."""
        session.flags |= MONITORING
        self.sessions.append(session)

    def remove(self, session: Session) -> None:
        """Show it none any more."""
        if session.flags & MONITORING:
            session.flags &= ~MONITORING
            self.sessions.remove(session)

    def begins(self, session: Session, command: Command, args: list[bytes]) -> None:
        """A request is about to be executed: show it if it is a script."""
        if command.flags & SCRIPT_RUNNER:
            self._show(session, args)

    def ended(self, session: Session, command: Command, args: list[bytes]) -> None:
        """A request has been executed: show it if it is one that is shown, and has not been yet."""
        if not command.flags & (ADMIN | SKIP_MONITOR | SCRIPT_RUNNER):
            self._show(session, redacted(command.name, args))

    def _show(self, session: Session, args: list[bytes]) -> None:
        seconds, microseconds = divmod(self._clock.microseconds(), 1_000_000)
        source = b"lua" if session.is_script else _source(session.transport.peer())
        words = b" ".join([_quoted(argument) for argument in args])
        line = b"+%d.%06d [%d %b] %b\r\n" % (seconds, microseconds, session.db.index, source, words)
        for monitor in self.sessions:
            monitor.send(line)


def _source(peer: bytes) -> bytes:
    """A client's address as a monitor shows it."""
    return b"unix:" + peer.rpartition(b":")[0] if peer.startswith(b"/") else peer


_ESCAPES: Final = {
    byte: "\\" + chr(escape)
    for byte, escape in zip(b'\\"\n\r\t\a\b', b'\\"nrtab', strict=True)
} | {byte: f"\\x{byte:02x}" for byte in (*range(7), 11, 12, *range(14, 32), *range(127, 256))}  # fmt: skip


def _quoted(argument: bytes) -> bytes:
    """An argument in quotes, with whatever isn't printable ASCII escaped."""
    if argument.isascii() and argument.isalnum():
        return b'"%b"' % argument
    return f'"{bytes(argument).decode("latin-1").translate(_ESCAPES)}"'.encode()
