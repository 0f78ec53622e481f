"""How much memory a client takes."""

from broker.clients.memory_use import CLIENT_SIZE, LISTED_SIZE, client_memory
from tests.broker.sessions import make_broker, make_session, run


def test_all_that_a_client_has_sent_counts() -> None:
    session = make_session(make_broker())
    assert client_memory(session) == CLIENT_SIZE
    run(session, "CLIENT SETNAME name")
    assert client_memory(session) == CLIENT_SIZE + 4
    run(session, "WATCH key", "SUBSCRIBE channel")
    assert client_memory(session) == CLIENT_SIZE + 4 + 3 + 7 + 2 * LISTED_SIZE
    run(session, "RESET", "BLPOP key 0")
    assert client_memory(session) >= CLIENT_SIZE + 3 + LISTED_SIZE
