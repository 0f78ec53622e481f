"""Looking up strings."""

import pytest

from broker.keyspace.strings import get_string, read_string
from broker.values.list import List
from protocol.errors import CommandError
from tests.broker.keyspace.keyspaces import make_keyspace


def test_lookups() -> None:
    keyspace = make_keyspace()
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
