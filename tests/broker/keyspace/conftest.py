"""Three databases, and what is heard of them."""

import pytest

from broker.keyspace.database import Database
from broker.keyspace.keyspace import Keyspace
from tests.broker.keyspace.keyspaces import Heard, SetClock, make_keyspace


@pytest.fixture
def clock() -> SetClock:
    running = SetClock()
    running.now = 1_000_000
    return running


@pytest.fixture
def heard() -> Heard:
    return []


@pytest.fixture
def keyspace(clock: SetClock, heard: Heard) -> Keyspace:
    """Three databases whose events are kept."""
    return make_keyspace(clock, heard=heard)


@pytest.fixture
def db(keyspace: Keyspace) -> Database:
    return keyspace.databases[0]
