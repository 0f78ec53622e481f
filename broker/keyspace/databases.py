"""The databases of a broker by their numbers."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from broker.keyspace.database import Database, SharedState

MANY_DATABASES: Final = 1024
"""Databases made above which those that nobody uses are looked for."""


class Databases:
    """The databases by their numbers, made when they are first asked for, since a configuration may allow any number.

    As many as that is `len`, but only those that were made are iterated over, in the order of their numbers; `made` has
    them by number, for reading.
    """

    __slots__ = ("_count", "_kind", "_ordered", "_shared", "_tidied_at", "made")

    def __init__(self, shared: SharedState, count: int) -> None:
        self._shared = shared
        self._count = count
        self.made: dict[int, Database] = {}
        self._ordered: list[Database] = []
        self._tidied_at = MANY_DATABASES
        self._kind: type[Database] = Database

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Database]:
        return iter(self._ordered)

    def __getitem__(self, index: int) -> Database:
        """Raises IndexError."""
        database = self.made.get(index)
        if database is None:
            if not 0 <= index < self._count:
                raise IndexError(index)
            # Lookups are bound in the course of it, and what a subclass adds needs no constructor of its own.
            database = self.made[index] = self._kind(self._shared, index)
            database.bind()
            insort(self._ordered, database, key=attrgetter("index"))
        return database

    def use(self, kind: type[Database]) -> None:
        """Make all of them, and those to come, databases of this class. What was recorded of accesses is forgotten."""
        self._kind = kind
        for database in self:
            database.last_access = {}
            database.__class__ = kind
            database.bind()

    def tidy(self, held: Iterable[Database]) -> None:
        """Forget databases that nobody uses, when many have been made: no keys, nobody who waits or watches, and not
        one of those that are `held`. So clients can't make the table grow by selecting one after the other."""
        if len(self._ordered) < self._tidied_at:
            return
        used = {database.index for database in held} | {0}
        self._ordered = [
            database
            for database in self._ordered
            if database.data or database.watchers or database.waiters or database.index in used
        ]
        self.made = {database.index: database for database in self._ordered}
        self._tidied_at = max(MANY_DATABASES, 2 * len(self._ordered))
