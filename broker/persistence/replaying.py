"""Executing an append-only file's commands, as an invisible client whose commands are checked only for existence.

Transactions are executed if they are complete. The work is done in steps of about a millisecond, so that the broker
answers its clients in between.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from broker.clients.session import Host, Session
from broker.clients.transport import CLOSED_TRANSPORT
from broker.formats.aof.reading import Batch, CommandReader
from broker.persistence.environment import LoadError
from broker.persistence.pieces import PIECE, pieces
from broker.process.log import Log
from broker.process.stats import Stats
from broker.table.command import Command, CommandTable
from protocol.errors import CommandError

MANY: Final = 16
"""Most commands between two looks at the clock."""

_STEP_SECONDS: Final = 0.001


class Replayer:
    """Executes the commands of one file with `commands`, or with `originals` where those have been renamed.

    `release` takes large objects that are no longer used.
    """

    __slots__ = ("_commands", "_log", "_originals", "_path", "_plain", "_refused", "_release", "_session", "_stats")

    def __init__(
        self,
        commands: CommandTable,
        originals: CommandTable,
        host: Host,
        log: Log,
        stats: Stats,
        path: str,
        release: Callable[[object], None],
    ) -> None:
        self._session: Session = Session(host, 0, CLOSED_TRANSPORT)
        self._session.flags = 0
        self._session.deny_blocking = True
        self._log = log
        self._stats = stats
        self._commands = commands
        self._plain = commands.plain
        self._originals = originals
        self._path = path
        self._release = release
        self._refused = 0

    def steps(self, reader: CommandReader) -> Iterator[int]:
        """Executes everything; yields the offset reached after each step.

        Raises LoadError for a command that does not exist, and what the reader raises.
        """
        transaction: Batch | None = None
        try:
            for batch in reader.batches():
                at = 0
                count = len(batch.commands)
                while at < count:
                    if transaction is None:
                        at = self._run(batch, at)
                        yield batch.end(at - 1) if at else batch.offset
                        if at == count:
                            continue
                    args = batch.commands[at]
                    name = args[0].upper() if len(args) == 1 else b""
                    if name == b"MULTI":
                        transaction = Batch(batch.offset)
                    elif transaction is None:
                        yield from self._any(batch, at)
                    elif name == b"EXEC":
                        yield from self._transaction(transaction)
                        self._drop(transaction)
                        transaction = None
                    else:
                        transaction.add(args, batch.end(at))
                    at += 1
                if not count or transaction is not None:
                    # Nothing has been executed, because a command or a transaction is still incomplete.
                    yield batch.offset
        finally:
            if transaction is not None:
                self._drop(transaction)
            self._release(reader.unfinished())
        if self._refused > 1:
            self._log.warning("commands in the append-only file failed", file=self._path, commands=self._refused)

    def _transaction(self, batch: Batch) -> Iterator[int]:
        at = 0
        while at < len(batch.commands):
            at = self._run(batch, at)
            yield batch.end(at - 1) if at else batch.offset
            if at < len(batch.commands):
                yield from self._any(batch, at)
                at += 1

    def _drop(self, batch: Batch) -> None:
        """Has a batch freed, which may be large."""
        self._release(batch.commands)
        self._release(batch.ends)
        batch.commands, batch.ends = [], []

    def _run(self, batch: Batch, at: int) -> int:
        """Executes commands from `at` on, for a millisecond at most; stops before one that is not of the usual size."""
        commands = batch.commands
        count = len(commands)
        plain = self._plain
        session = self._session
        look = at + 1
        stride = 1
        ends = time.perf_counter() + _STEP_SECONDS
        while at < count:
            args = commands[at]
            size = len(args)
            if size == 1 or size > PIECE:
                break
            command = plain.get(args[0])
            if command is None or not command.min_args <= size <= command.max_args:
                command = self._find(batch, at)
            try:
                command.handler(session, args)
            except CommandError as problem:
                self._failed(command, problem, batch.end(at))
            at += 1
            if at == look:
                # Most commands take a microsecond, so the clock is read ever more rarely, but then again always.
                if time.perf_counter() > ends:
                    break
                stride = min(2 * stride, MANY)
                look += stride
        return at

    def _any(self, batch: Batch, at: int) -> Iterator[int]:
        """Executes any command, a large one in pieces."""
        args = batch.commands[at]
        command = self._find(batch, at)
        end = batch.end(at)
        if len(args) <= PIECE:
            self._execute(command, end, args)
            yield end
            return
        for part in pieces(command.name, args):
            if part and not self._execute(command, end, part):
                break
            yield end
        self._release(args)

    def _execute(self, command: Command, end: int, args: list[bytes]) -> bool:
        try:
            command.handler(self._session, args)
        except CommandError as problem:
            self._failed(command, problem, end)
            return False
        return True

    def _find(self, batch: Batch, at: int) -> Command:
        args = batch.commands[at]
        command = self._plain.get(args[0]) or self._commands.find(args) or self._originals.find(args)
        if command is None or not command.min_args <= len(args) <= command.max_args:
            name = self._log.user_data(args[0][:128].decode(errors="replace"))
            raise LoadError(f"{self._path}: unknown command '{name}' before byte {batch.end(at)}")
        return command

    def _failed(self, command: Command, problem: CommandError, end: int) -> None:
        if command.name == b"select":
            # The commands that follow would go to the wrong database.
            text = problem.text.decode(errors="replace")
            raise LoadError(f"{self._path}: '{text}' to the command before byte {end}") from None
        self._stats.count_error(problem.text)
        self._stats.unexpected_errors += 1
        self._refused += 1
        if self._refused == 1:
            self._log.warning(
                "a command in the append-only file failed, which may happen in Redis too; it has no effect",
                file=self._path,
                before_byte=end,
                command=command.name,
                error=self._log.user_data(problem.text),
            )
