"""What a write leaves for the journal and for replicas: its effects, deterministic.

A command that does the same whenever it is executed again propagates as it came. One that does not (it read the
clock, drew at random, waited, or generated an ID) says while it runs what to propagate in its place. The effects
of a transaction or of a script go out together, as one unit.
"""

from collections.abc import Callable

Effects = list[tuple[int, list[bytes]]]
"""Commands with the index of the database each applies to."""

Sink = Callable[[Effects], None]
"""Takes the effects of one command, or all those of one transaction; called in the order of execution."""


class Propagation:
    """Collects the effects of the running command and hands them to the sinks.

    With no sink (no journal, no replica) all of it costs one test a write.
    """

    __slots__ = ("_depth", "_extra", "_gathered", "_instead", "sinks")

    def __init__(self) -> None:
        self.sinks: list[Sink] = []
        self._instead: list[list[bytes]] | None = None
        self._extra: Effects = []
        self._gathered: Effects = []
        self._depth = 0

    def instead(self, *commands: list[bytes]) -> None:
        """Propagate these commands in place of the one that runs; called again, it adds to them.

        Only for a command that has changed, or will change, something: what it names stays until then.
        """
        if self.sinks:
            if self._instead is None:
                self._instead = []
            self._instead.extend(commands)

    def forget(self) -> None:
        """The running command has failed and changed nothing: what it named with `instead` is void."""
        self._instead = None

    def also(self, database: int, command: list[bytes]) -> None:
        """Propagate this command before the one that runs (an expired key's DEL)."""
        if self.sinks:
            self._extra.append((database, command))

    def flush(self, database: int, command: list[bytes] | None) -> None:
        """The running command, None for none, is done and has changed something."""
        if not self.sinks:
            return
        effects = self._extra
        self._extra = []
        if self._instead is not None:
            effects.extend((database, replaced) for replaced in self._instead)
            self._instead = None
        elif command is not None:
            effects.append((database, command))
        if self._depth:
            self._gathered.extend(effects)
        elif effects:
            self._emit(effects)

    def begin(self) -> None:
        """Keep what follows together, up to the matching `end`: one transaction, with the scripts in it."""
        self._depth += 1

    def end(self) -> None:
        """Hand over what was kept together since the outermost `begin`."""
        self._depth -= 1
        if not self._depth and self._gathered:
            effects, self._gathered = self._gathered, []
            self._emit(effects)

    def _emit(self, effects: Effects) -> None:
        for sink in self.sinks:
            sink(effects)
