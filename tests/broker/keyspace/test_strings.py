"""Looking up strings."""

import pytest

from broker.keyspace.keyspace import Keyspace
from broker.keyspace.strings import get_string, read_string
from broker.process.clock import Clock
from broker.values.list import List
from protocol.errors import CommandError


def test_lookups() -> None:
    keyspace = Keyspace(Clock(), 1, lambda event, key, database: None)
    database = keyspace.databases[0]
    database.add(b"s", b"v")
    database.add(b"g", bytearray(b"v"))
    database.add(b"l", List([b"a"]))
    for look in (get_string, read_string):
        assert look(database, b"s") == look(database, b"g") == b"v"
        assert look(database, b"no") is None
        with pytest.raises(CommandError, match="WRONGTYPE"):
            look(database, b"l")
    assert (keyspace.hits, keyspace.misses) == (3, 1)
