"""What a write leaves for the journal and for replicas: its effects, deterministic.

A command that does the same whenever it is executed again propagates as it came. One that does not (it read the
clock, drew at random, waited, or generated an ID) says while it runs what to propagate in its place. The effects
of a transaction or of a script go out together, as one unit.
"""

from collections.abc import Callable

Unit = list[tuple[int, list[bytes]]]
"""The effects of one command, or of one whole transaction: commands, and the index of the database each applies to."""

Sink = Callable[[Unit], None]
"""Takes one unit; called in the order of execution."""


class Effects:
    """Collects the effects of the running command and hands them to the sinks.

    With no sink (no journal, no replica) all of it costs one test per write. `position` counts what went to the sinks,
    one for each command or transaction: a session that remembers it knows what must be on the disk before it is replied
    to. While `special` is False, the running command is propagated as it came, by itself: dispatch does that at once.
    While `suppressed`, what commands do is not propagated at all (redis.set_repl within a script).
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
        """Propagate these commands in place of the one that runs; called again, it adds to them.

        Only for a command that has changed, or will change, something: what it names stays until then.
        """
        if self.sinks:
            self.special = True
            if self._replacement is None:
                self._replacement = []
            self._replacement.extend(commands)

    def discard(self) -> None:
        """The running command has failed and changed nothing: what it named with `replace_with` is void."""
        self._replacement = None
        self.special = bool(self._extra or self._depth)

    def add(self, database: int, command: list[bytes]) -> None:
        """Propagate this command before the one that runs (an expired key's DEL)."""
        if self.sinks:
            self.special = True
            self._extra.append((database, command))

    def flush(self, database: int, command: list[bytes] | None) -> None:
        """The running command is done and has changed something; None: keys were removed beside any command.

        What one command does beside its own effect (an expired key's DEL) is one unit with it; keys that are removed
        beside any command have nothing to do with each other.
        """
        if not self.sinks:
            return
        replacement = self._replacement
        if self._depth and command is not None and replacement is None and not (self._extra or self.suppressed):
            self._gathered.append((database, command))
            return
        if replacement is not None and not (self._extra or self._depth or self.suppressed):
            # A command that names its effects, most often one: XADD, SPOP, SET with a time to live.
            self._replacement = None
            self.special = False
            if replacement:
                self._emit([(database, named) for named in replacement])
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

    def begin(self) -> None:
        """Keep what follows together, up to the matching `end`: one transaction, with the scripts in it."""
        self._depth += 1
        self.special = True

    def end(self) -> None:
        """Hand over what was kept together since the outermost `begin`."""
        self._depth -= 1
        self.special = bool(self._depth or self._extra or self._replacement is not None)
        if not self._depth and self._gathered:
            effects, self._gathered = self._gathered, []
            self._emit(effects)

    def _emit(self, effects: Unit) -> None:
        self.position += 1
        for sink in self.sinks:
            sink(effects)
