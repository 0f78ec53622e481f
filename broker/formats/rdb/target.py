"""Where what a dump file holds goes: an interface, and its implementation by the keyspace."""

from typing import Protocol

from broker.keyspace.access import LRU
from broker.keyspace.database import Value
from broker.keyspace.keyspace import Keyspace
from broker.values.hash import Hash


class Target(Protocol):
    """What a file is loaded into. The methods that return a bool return False for what can't be."""

    def aux(self, name: bytes, value: bytes) -> None:
        """A fact about the file."""

    def function(self, source: bytes) -> None:
        """A library of functions. May raise ValueError, which says why it can't be loaded."""

    def select(self, index: int) -> bool:
        """The keys from here on belong to this database; False if there is none of that number."""

    def put(self, key: bytes, value: Value, deadline: int | None, idle: int | None, frequency: int | None) -> bool:
        """A key; False if it is there already.

        Its deadline in wall milliseconds; seconds since it was last accessed, or how often it was (0 to 255), where
        the file says so.
        """

    def put_strings(self, values: dict[bytes, bytes], deadlines: dict[bytes, int]) -> bool:
        """Many keys of strings, some with deadlines; False if one of them is there already."""


class KeyspaceTarget:
    """Loads a file into a keyspace.

    Libraries of functions and facts about the file are only collected: `functions`, `facts`.
    """

    def __init__(self, keyspace: Keyspace) -> None:
        self._access = keyspace.access
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
        # Not by way of `set_idle`: that somebody asked for idle times would be remembered.
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


class MergingTarget(KeyspaceTarget):
    """A KeyspaceTarget where what is loaded replaces keys that are there."""

    def put(self, key: bytes, value: Value, deadline: int | None, idle: int | None, frequency: int | None) -> bool:
        self._database.delete(key)
        return super().put(key, value, deadline, idle, frequency)

    def put_strings(self, values: dict[bytes, bytes], deadlines: dict[bytes, int]) -> bool:
        for key in values:
            self._database.delete(key)
        return super().put_strings(values, deadlines)
