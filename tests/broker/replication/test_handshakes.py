"""What is kept of REPLCONF. What it answers is compared in tests/oracle/test_replication_handshake.py."""

import pytest

from broker.replication.handshakes import Handshake
from protocol.errors import CommandError
from tests.broker.sessions import make_broker, make_session


def test_settings_are_a_clients_own() -> None:
    broker = make_broker()
    first, second = make_session(broker), make_session(broker)
    handshakes = broker.handshakes
    handshakes.configure(first, [b"rdb-only", b"1", b"CAPA", b"EOF", b"capa", b"psync2"])
    handshakes.configure(first, [b"rdb-filter-only", b"functions"])
    expected = Handshake(rdb_only=True, end_mark=True, renames=True, with_keys=False, with_functions=True)
    assert handshakes.of(first) == expected
    assert handshakes.of(first).filtered
    assert handshakes.of(second) == Handshake()
    handshakes.forget(first)
    handshakes.forget(first)
    assert handshakes.of(first) == Handshake()


def test_what_precedes_an_error_counts() -> None:
    broker = make_broker()
    session = make_session(broker)
    handshakes = broker.handshakes
    with pytest.raises(CommandError):
        handshakes.configure(session, [b"rdb-only", b"1", b"nonsense", b"x", b"capa", b"eof"])
    assert handshakes.of(session) == Handshake(rdb_only=True)


def test_a_replica_says_where_it_is() -> None:
    broker = make_broker()
    session = make_session(broker)
    broker.handshakes.configure(session, [b"listening-port", b"7000", b"ip-address", b"replica.example"])
    settings = broker.handshakes.of(session)
    assert (settings.port, settings.address) == (7000, "replica.example")


@pytest.mark.parametrize(("version", "own_files"), [(b"8.1.5", False), (b"9.0.0", True), (b"10.0.1", True)])
def test_valkey_says_its_version(version: bytes, own_files: bool) -> None:
    broker = make_broker()
    session = make_session(broker)
    broker.handshakes.configure(session, [b"version", version])
    assert broker.handshakes.of(session).reads_valkey_files is own_files


@pytest.mark.parametrize("version", [b"9.1", b"9.1.x", b"", b"1.2.3.4"])
def test_a_version_has_three_numbers(version: bytes) -> None:
    broker = make_broker()
    with pytest.raises(CommandError, match="Unrecognized version format"):
        broker.handshakes.configure(make_session(broker), [b"version", version])


@pytest.mark.parametrize("words", [[b"ack", b"x"], [b"ack", b"1", b"fack", b"y"]])
def test_a_report_that_is_no_number_is_ignored(words: list[bytes]) -> None:
    broker = make_broker()
    session = make_session(broker)
    assert broker.handshakes.configure(session, words) == b""
    assert not broker.replicas.acknowledgements
