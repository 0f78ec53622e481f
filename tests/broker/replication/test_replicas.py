"""The clients that receive the stream."""

from broker.clients.session import CLOSING
from broker.replication.replicas import Replica, Replicas
from tests.broker.sessions import make_broker, make_session


def test_all_can_be_disconnected() -> None:
    broker = make_broker()
    replicas = Replicas()
    sessions = [make_session(broker), make_session(broker)]
    replicas.online = [Replica(session) for session in sessions]
    replicas.disconnect_all()
    assert all(session.flags & CLOSING for session in sessions)
