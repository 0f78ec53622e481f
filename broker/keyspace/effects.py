"""The deterministic effects of a write, for the journal and for replicas.

A command that does the same whenever it is executed again propagates as received. One that does not (because it read
the clock, used a random number, waited, or generated an ID) names the commands to propagate instead while it runs. The
effects of a transaction or of a script are emitted together, as one unit.
"""

from collections.abc import Callable

Unit = list[tuple[int, list[bytes]]]
"""The effects of one command or one whole transaction: commands, each with the index of its database."""

Sink = Callable[[Unit], None]
"""Receives one unit; called in the order of execution."""


class Effects:
    """Collects the effects of the running command and hands them to the sinks.

    With no sink (no journal, no replica) all of this costs one test per write. `position` counts the units emitted, one
    per command or transaction: a session remembers it, which tells how much must be on the disk before its replies may
    be sent. While `special` is False, the running command propagates as received and alone, and the dispatcher emits it
    directly. While `suppressed`, not everything is propagated to everybody (redis.set_repl in a script).

    `replica_sinks` are those of the sinks that lead to replicas, which also get what isn't to be recorded: messages.
    """

    __slots__ = (
        "_closing", "_depth", "_extra", "_gathered", "_journal_only", "_replacement", "_replicas_only", "_to_journal",
        "_to_replicas", "position", "replica_sinks", "sinks", "special", "suppressed",
    )  # fmt: skip

    def __init__(self) -> None:
        self.sinks: list[Sink] = []
        self.replica_sinks: list[Sink] = []
        self.position = 0
        self.suppressed = False
        self._to_journal = self._to_replicas = True
        # The places of what goes to some of the sinks only, in the unit that is being gathered.
        self._journal_only: set[int] = set()
        self._replicas_only: set[int] = set()
        self.special = False
        self._replacement: list[list[bytes]] | None = None
        self._extra: Unit = []
        self._closing: list[Callable[[], int]] = []
        self._gathered: Unit = []
        self._depth = 0

    def replace_with(self, *commands: list[bytes]) -> None:
        """Propagate these commands instead of the running one; further calls add to them.

        What a command names that changes nothing is dropped when it ends (broker.execution.executor). Outside commands,
        the caller flushes it.
        """
        if self.sinks:
            self.special = True
            if self._replacement is None:
                self._replacement = []
            self._replacement.extend(commands)

    def begin_with(self, command: list[bytes]) -> None:
        """Propagate this command, the running one, and then what `replace_with` adds, unless it has named others."""
        if self._replacement is None:
            self.replace_with(command)

    def discard(self) -> None:
        """Drop what `replace_with` was given: the running command has changed nothing."""
        self._replacement = None
        self.special = bool(self._extra or self._depth or self._closing)

    def add(self, database: int, command: list[bytes]) -> None:
        """Propagate this command before the running one (an expired key's DEL)."""
        if self.sinks:
            self.special = True
            self._extra.append((database, command))

    def close_with(self, action: Callable[[], int]) -> None:
        """Call `action` once the running command has named all its effects; what it names then is propagated with them.

        It returns the index of its database. If the command changes nothing, it is called for the next one that does,
        once, however often it was given until then.
        """
        if self.sinks:
            self.special = True
            if action not in self._closing:
                self._closing.append(action)

    def _close(self, database: int, command: list[bytes]) -> None:
        """Make the running command's effects additional ones, and add those of what closes its unit."""
        closing, self._closing = self._closing, []
        own = [command] if self._replacement is None else self._replacement
        self._extra += [(database, effect) for effect in own]
        for action in closing:
            self._replacement = []
            index = action()
            self._extra += [(index, effect) for effect in self._replacement]
        self._replacement = []

    def publish(self, database: int, command: list[bytes]) -> None:
        """Propagate this command, the running one, to replicas only (PUBLISH)."""
        if not (self.replica_sinks and self._to_replicas):
            return
        if self._depth:
            self._replicas_only.add(len(self._gathered))
            self._gathered.append((database, command))
        else:
            # Not a new position: clients would wait for the journal, which will never have it.
            for sink in self.replica_sinks:
                sink([(database, command)])

    def restrict(self, *, to_journal: bool, to_replicas: bool) -> None:
        """Propagate what follows only to these, until called again; only between `begin` and `end`."""
        self._to_journal, self._to_replicas = to_journal, to_replicas
        self.suppressed = not (to_journal and to_replicas)

    def flush(self, database: int, command: list[bytes] | None) -> None:
        """Emit the effects of a command that has changed something; None if keys were removed outside any command.

        The side effects of a command (an expired key's DEL) form one unit with it; keys removed outside any command
        are unrelated, so each is a unit.
        """
        if not self.sinks:
            return
        if self._closing and command is not None and not self.suppressed:
            self._close(database, command)
        replacement = self._replacement
        if not (self._extra or self.suppressed):
            if replacement is not None:
                # The common case of a command that names its effects: XADD, SPOP, SET with a TTL.
                self._replacement = None
                self.special = bool(self._depth or self._closing)
                unit = [(database, named) for named in replacement]
                if self._depth:
                    self._gathered += unit
                elif unit:
                    self._emit(unit)
                return
            if self._depth and command is not None:
                self._gathered.append((database, command))
                return
        if self.suppressed:
            if self._replacement is not None:
                self._mark_restricted(len(self._replacement))
            elif command is not None:
                self._mark_restricted(1)
            if not (self._to_journal or self._to_replicas):
                self._replacement = command = None
        effects = self._extra
        self._extra = []
        self.special = bool(self._depth or self._closing)
        if self._replacement is not None:
            effects.extend((database, replaced) for replaced in self._replacement)
            self._replacement = None
        elif command is not None:
            effects.append((database, command))
        if self._depth:
            self._gathered.extend(effects)
        elif command is None:
            for effect in effects:
                self._emit([effect])
        elif effects:
            self._emit(effects)

    @property
    def has_gathered(self) -> bool:
        """Whether a transaction is running that has changed something."""
        return bool(self._gathered)

    def begin(self) -> None:
        """Collect what follows into one unit, up to the matching `end`: a transaction, including its scripts."""
        self._depth += 1
        self.special = True

    def end(self) -> None:
        """Emit what was collected since the outermost `begin`, once that is ended."""
        self._depth -= 1
        self.special = bool(self._depth or self._extra or self._closing or self._replacement is not None)
        if not self._depth and self._gathered:
            effects, self._gathered = self._gathered, []
            if self._journal_only or self._replicas_only:
                self._emit_separately(effects)
            else:
                self._emit(effects)

    def _mark_restricted(self, count: int) -> None:
        """Note that the running command's effects, which follow the additional ones, are not for everybody."""
        first = len(self._gathered) + len(self._extra)
        if self._to_journal:
            self._journal_only.update(range(first, first + count))
        elif self._to_replicas:
            self._replicas_only.update(range(first, first + count))

    def _emit_separately(self, effects: Unit) -> None:
        """Emit a unit of which the journal and replicas get different parts."""
        for_journal = [effect for at, effect in enumerate(effects) if at not in self._replicas_only]
        for_replicas = [effect for at, effect in enumerate(effects) if at not in self._journal_only]
        self._journal_only.clear()
        self._replicas_only.clear()
        if for_journal:
            self.position += 1
        for sink in self.sinks:
            part = for_replicas if sink in self.replica_sinks else for_journal
            if part:
                sink(part)

    def _emit(self, effects: Unit) -> None:
        self.position += 1
        for sink in self.sinks:
            sink(effects)
