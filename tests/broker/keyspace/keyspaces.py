"""Keyspaces without a broker, for tests of the keyspace alone."""

from __future__ import annotations

from broker.config import Config
from broker.keyspace.events import Event
from broker.keyspace.keyspace import Keyspace
from broker.process.clock import Clock
from broker.process.timers import Deadlines

Heard = list[tuple[bytes, bytes, int]]
"""Events: name, key, database."""


class SetClock(Clock):
    """A clock that the test sets."""

    def update(self) -> int:
        return self.now

    def read(self) -> int:
        return self.now

    def trio_deadline(self, wall_ms: int) -> float:
        return wall_ms / 1000


class Listener:
    """A notifier that keeps all events in `heard`."""

    def __init__(self, heard: Heard) -> None:
        self.heard = heard

    def notify(self, event: Event, key: bytes, database: int, mask: int) -> None:
        self.heard.append((event.name, key, database))

    def notify_all(self, event: Event, keys: list[bytes], database: int, mask: int) -> None:
        self.heard.extend((event.name, key, database) for key in keys)

    def notify_fields(self, event: Event, key: bytes, database: int, fields: list[bytes], mask: int) -> None:
        self.heard.extend((event.name, field, database) for field in fields)


def failing(defect: Exception) -> None:
    """What a test's timers do with a defect."""
    raise defect


def dropped(value: object) -> None:
    """What becomes of values that a test's keyspace removes."""


def make_keyspace(
    clock: Clock | None = None, databases: int = 3, heard: Heard | None = None, timers: Deadlines | None = None
) -> Keyspace:
    """A keyspace whose events go to `heard`."""
    config = Config()
    config.databases = databases
    listener = Listener([] if heard is None else heard)
    return Keyspace(clock or Clock(), config, timers or Deadlines(failing), listener, dropped)
