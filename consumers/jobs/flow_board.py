"""One workflow within a transaction: the fields that were read, and those that will be written.

A transaction reads in rounds, each one round trip for all workflows it concerns: it states what it wants, and what one
round shows decides what the next one wants. All reads follow a WATCH of the hash, so what was read is still true when
the changes are written, or nothing is written. Two rounds must not see two states either, since decisions rely on what
fields say together: each round reads the count of changes as well, which every transaction raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from consumers.connection import Command
from consumers.jobs.flow_state import Links, Plan, State, read_links, read_plan
from consumers.jobs.names import Keys
from consumers.transactions import Ask, Changed

__all__ = ["Board", "load"]

CHANGES = "changes"

HEAD = ("count", "left", "failed", "cancelled", "size")


class Board:
    """The part of a workflow that a transaction has read."""

    def __init__(self, keys: Keys, id: str) -> None:
        self.id = id
        self.key = keys.flow(id)
        self._known: dict[str, bytes | None] = {}
        self._changed: dict[str, bytes] = {}
        self._removed: dict[str, None] = {}
        self._wanted: dict[str, None] = dict.fromkeys(HEAD)
        self._links: dict[int, Links] = {}

    # Reading.

    def want(self, *names: str) -> None:
        """Have these fields read in the next round, unless they are known."""
        self._wanted.update((name, None) for name in names if name not in self._known)

    def want_all(self) -> None:
        """Have the states and links of all nodes read."""
        self.want("plan", "first", *(f"{kind}:{node}" for node in range(self.count) for kind in "so"))

    def questions(self) -> list[str]:
        """The fields to read now."""
        wanted, self._wanted = list(self._wanted), {}
        return wanted

    def learn(self, names: Sequence[str], values: Sequence[bytes | None]) -> None:
        """Take in what was read, the count of changes last. Raises Changed if that is another than before."""
        if self._known.setdefault(CHANGES, values[-1]) != values[-1]:
            raise Changed
        self._known.update(zip(names, values, strict=True))

    def __contains__(self, name: str) -> bool:
        """Whether the field was read."""
        return name in self._known

    def get(self, name: str) -> bytes | None:
        """A field's value, as it will be."""
        return self._known[name]

    def number(self, name: str) -> int:
        return int(self._known[name] or 0)

    @property
    def exists(self) -> bool:
        return self._known["count"] is not None

    @property
    def count(self) -> int:
        return self.number("count")

    def state(self, node: int) -> State:
        return State.read(self._known[f"s:{node}"])

    def links(self, node: int) -> Links:
        if node not in self._links:
            stored = self._known[f"o:{node}"]
            assert stored is not None
            self._links[node] = read_links(stored)
        return self._links[node]

    @property
    def plan(self) -> Plan:
        stored = self._known["plan"]
        assert stored is not None
        return read_plan(stored)

    # Writing.

    def set(self, name: str, value: bytes | int | float) -> None:
        stored = value if isinstance(value, bytes) else str(value).encode()
        self._known[name] = self._changed[name] = stored
        self._removed.pop(name, None)

    def add(self, name: str, difference: int) -> int:
        number = self.number(name) + difference
        self.set(name, number)
        return number

    def set_state(self, node: int, letter: str, run: int) -> None:
        self.set(f"s:{node}", State(letter, run).stored())

    def remove(self, name: str) -> None:
        self._known[name] = None
        self._changed.pop(name, None)
        self._removed[name] = None

    def commands(self) -> list[Command]:
        """Commands that write the changes. Nothing can be read after this."""
        commands: list[Command] = []
        if self._changed or self._removed:
            changes = str(int(self._known[CHANGES] or 0) + 1).encode()
            self._changed[CHANGES] = changes
            commands.append((b"HSET", self.key, *(one for pair in self._changed.items() for one in pair)))
        if self._removed:
            commands.append((b"HDEL", self.key, *self._removed))
        return commands


async def load(ask: Ask, boards: Iterable[Board]) -> None:
    """Read what the boards want, in one round trip; in none if they want nothing."""
    asked = [(board, [*names, CHANGES]) for board in boards if (names := board.questions())]
    if not asked:
        return
    replies = await ask([(b"HMGET", board.key, *names) for board, names in asked])
    for (board, names), values in zip(asked, replies, strict=True):
        board.learn(names, values)
