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
    directly. While `suppressed`, nothing is propagated (redis.set_repl in a script).
    """

    __slots__ = ("_depth", "_extra", "_gathered", "_replacement", "position", "sinks", "special", "suppressed")

    def __init__(self) -> None:
        self.sinks: list[Sink] = []
        self.position = 0
        self.suppressed = False
        self.special = False
        self._replacement: list[list[bytes]] | None = None
        self._extra: Unit = []
        self._gathered: Unit = []
        self._depth = 0

    def replace_with(self, *commands: list[bytes]) -> None:
        """Propagate these commands instead of the running one; further calls add to them.

        Only for a command that has changed something or is going to: what it names is kept until a change is flushed.
        """
        if self.sinks:
            self.special = True
            if self._replacement is None:
                self._replacement = []
            self._replacement.extend(commands)

    def discard(self) -> None:
        """Drop what `replace_with` was given: the running command has failed without changing anything."""
        self._replacement = None
        self.special = bool(self._extra or self._depth)

    def add(self, database: int, command: list[bytes]) -> None:
        """Propagate this command before the running one (an expired key's DEL)."""
        if self.sinks:
            self.special = True
            self._extra.append((database, command))

    def flush(self, database: int, command: list[bytes] | None) -> None:
        """Emit the effects of a command that has changed something; None if keys were removed outside any command.

        The side effects of a command (an expired key's DEL) form one unit with it; keys removed outside any command
        are unrelated, so each is a unit.
        """
        if not self.sinks:
            return
        replacement = self._replacement
        if not (self._extra or self.suppressed):
            if replacement is not None:
                # The common case of a command that names its effects: XADD, SPOP, SET with a TTL.
                self._replacement = None
                self.special = bool(self._depth)
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
            self._replacement = command = None
        effects = self._extra
        self._extra = []
        self.special = bool(self._depth)
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
        self.special = bool(self._depth or self._extra or self._replacement is not None)
        if not self._depth and self._gathered:
            effects, self._gathered = self._gathered, []
            self._emit(effects)

    def _emit(self, effects: Unit) -> None:
        self.position += 1
        for sink in self.sinks:
            sink(effects)
