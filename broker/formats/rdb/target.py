"""The receiver of a dump file's contents: an interface, and its implementation for the keyspace."""

from typing import Protocol

from broker.keyspace.access import LRU
from broker.keyspace.database import Value
from broker.keyspace.databases import Databases
from broker.keyspace.keyspace import Keyspace
from broker.values.hash import Hash


class Target(Protocol):
    """Receives what is loaded from a file. Methods that return a bool return False for invalid input."""

    def aux(self, name: bytes, value: bytes) -> None:
        """Receives metadata of the file."""

    def function(self, source: bytes) -> None:
        """Receives a library of functions. May raise ValueError, which says why it can't be loaded."""

    def select(self, index: int) -> bool:
        """Selects the database of the following keys; returns False if it does not exist."""

    def put(self, key: bytes, value: Value, deadline: int | None, idle: int | None, frequency: int | None) -> bool:
        """Receives a key; returns False if it exists already.

        `deadline` is in wall-clock milliseconds. `idle`, the seconds since the last access, and `frequency` (0 to 255)
        are None unless the file has them.
        """

    def put_strings(self, values: dict[bytes, bytes], deadlines: dict[bytes, int]) -> bool:
        """Receives many string keys, some with deadlines; returns False if one of them exists already."""

    def drop(self, value: Value) -> None:
        """Receives a value that is not wanted, and may be large."""


class KeyspaceTarget:
    """Loads a file into a keyspace.

    It only collects libraries of functions and metadata of the file: `functions`, `facts`.
    """

    def __init__(self, keyspace: Keyspace) -> None:
        self._access = keyspace.access
        self._release = keyspace.release
        self._databases = keyspace.databases
        self._database = keyspace.databases[0]
        self.facts: dict[bytes, bytes] = {}
        self.functions: list[bytes] = []

    def aux(self, name: bytes, value: bytes) -> None:
        self.facts[name] = value

    def function(self, source: bytes) -> None:
        self.functions.append(source)

    def select(self, index: int) -> bool:
        if index >= len(self._databases):
            return False
        self._database = self._databases[index]
        return True

    def put(self, key: bytes, value: Value, deadline: int | None, idle: int | None, frequency: int | None) -> bool:
        database = self._database
        if key in database.data:
            return False
        database.data[key] = value
        if deadline is not None:
            database.expire_at(key, deadline)
        if value.__class__ is Hash and value.deadlines:
            database.note_field_deadlines(key, value)
        access = self._access
        # Not with `set_idle`, which would mark idle times as requested by a client.
        if idle is not None and access.recorded == LRU:
            database.last_access[key] = max(database.keyspace.clock.now - idle * 1000, 0)
        if frequency is not None:
            access.set_frequency(database, key, frequency)
        return True

    def put_strings(self, values: dict[bytes, bytes], deadlines: dict[bytes, int]) -> bool:
        database = self._database
        data = database.data
        before = len(data)
        data.update(values)
        for key, deadline in deadlines.items():
            database.expire_at(key, deadline)
        return len(data) == before + len(values)

    def drop(self, value: Value) -> None:
        self._release(value)


class StagingTarget(KeyspaceTarget):
    """A KeyspaceTarget that loads into databases of its own, which take the places of the others with `install`."""

    def __init__(self, keyspace: Keyspace) -> None:
        super().__init__(keyspace)
        self._places = self._databases
        self._databases = Databases(keyspace, len(self._places))
        self._database = self._databases[0]

    def install(self) -> None:
        """Put what was loaded into the keyspace's databases, which must be empty."""
        for staged in self._databases:
            if staged.data:
                self._places[staged.index].swap(staged)

    def discard(self) -> None:
        """Free what was loaded."""
        for staged in self._databases:
            self._release(staged.data)
            staged.clear()


class MergingTarget(KeyspaceTarget):
    """A KeyspaceTarget where loaded keys replace existing ones."""

    def put(self, key: bytes, value: Value, deadline: int | None, idle: int | None, frequency: int | None) -> bool:
        self._database.delete(key)
        return super().put(key, value, deadline, idle, frequency)

    def put_strings(self, values: dict[bytes, bytes], deadlines: dict[bytes, int]) -> bool:
        for key in values:
            self._database.delete(key)
        return super().put_strings(values, deadlines)
