"""What is kept of REPLCONF. What it answers is compared in tests/oracle/test_replication_handshake.py."""

import pytest

from broker.replication.handshakes import Handshake, Handshakes
from protocol.errors import CommandError
from tests.broker.sessions import make_broker, make_session


def test_settings_are_a_clients_own() -> None:
    broker = make_broker()
    first, second = make_session(broker), make_session(broker)
    handshakes = Handshakes()
    handshakes.configure(first, [b"rdb-only", b"1", b"CAPA", b"EOF", b"capa", b"psync2"])
    handshakes.configure(first, [b"rdb-filter-only", b"functions"])
    assert handshakes.of(first) == Handshake(rdb_only=True, end_mark=True, with_keys=False, with_functions=True)
    assert handshakes.of(first).filtered
    assert handshakes.of(second) == Handshake()
    handshakes.forget(first)
    handshakes.forget(first)
    assert handshakes.of(first) == Handshake()


def test_what_precedes_an_error_counts() -> None:
    session = make_session(make_broker())
    handshakes = Handshakes()
    with pytest.raises(CommandError):
        handshakes.configure(session, [b"rdb-only", b"1", b"nonsense", b"x", b"capa", b"eof"])
    assert handshakes.of(session) == Handshake(rdb_only=True)
