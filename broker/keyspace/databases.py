"""The databases of a broker, by number."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from broker.keyspace.database import Database, SharedState

MANY_DATABASES: Final = 1024
"""Number of databases above which unused ones are cleaned up."""


class Databases:
    """The databases by number, created on first use, since a configuration may allow any number of them.

    `len` is the number allowed, but iteration covers only the databases created so far, in order of their numbers;
    `made` maps their numbers to them, for reading only.
    """

    __slots__ = ("_count", "_ordered", "_shared", "_tidy_above", "made")

    def __init__(self, shared: SharedState, count: int) -> None:
        self._shared = shared
        self._count = count
        self.made: dict[int, Database] = {}
        self._ordered: list[Database] = []
        self._tidy_above = MANY_DATABASES

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
            database = self.made[index] = Database(self._shared, index)
            database.bind()
            insort(self._ordered, database, key=attrgetter("index"))
        return database

    def forget_accesses(self) -> None:
        """Forget recorded accesses, and look keys up by what is recorded from now on."""
        for database in self:
            database.last_access = {}
            database.bind()

    def tidy(self, held: Iterable[Database]) -> None:
        """Forget unused databases once many have been created: those without keys, watchers and waiting clients, and
        not among `held`. This keeps clients from growing the table by selecting one after another."""
        if len(self._ordered) < self._tidy_above:
            return
        used = {database.index for database in held} | {0}
        self._ordered = [
            database
            for database in self._ordered
            if database.data or database.watchers or database.waiters or database.index in used
        ]
        self.made = {database.index: database for database in self._ordered}
        self._tidy_above = max(MANY_DATABASES, 2 * len(self._ordered))
