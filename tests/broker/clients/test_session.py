"""A session's own state: what it sends when, and how it ends."""

import weakref

import pytest

from broker.clients.session import BROKER_STATE, CLOSING, REPLY_OFF, STOPPED, UNAUTHENTICATED, Host, HostT, Session
from tests.broker.sessions import Wire, make_broker, make_session
from tests.twins import needs_source


def test_a_new_session() -> None:
    broker = make_broker()
    one, two = make_session(broker), make_session(broker)
    assert one.flags == 0 and one.db is broker.keyspace.databases[0] and one.resp.version == 2
    assert two.id == one.id + 1 and broker.sessions == {one.id: one, two.id: two}


def test_a_password_and_broker_states_set_the_first_gate() -> None:
    assert make_session(make_broker(requirepass=b"secret")).flags == UNAUTHENTICATED
    broker = make_broker()
    broker.state.loading = True
    assert make_session(broker).flags == BROKER_STATE
    early = make_session(broker)
    broker.state.loading = False
    broker.state.restrict()
    assert early.flags == 0


def test_sending_enters_the_outbox_once() -> None:
    broker = make_broker()
    session = make_session(broker)
    session.send(b"a")
    session.push(b"b")
    assert session.out == [b"a", b"b"] and broker.outbox == [session]


def test_silence_holds_replies_back_but_not_pushes() -> None:
    session = make_session(make_broker())
    session.flags |= REPLY_OFF
    session.send(b"reply")
    session.push(b"push")
    assert session.out == [b"push"]


def test_closing_is_final() -> None:
    for end in ("close", "kill"):
        session = make_session(make_broker())
        getattr(session, end)()
        session.send(b"a")
        session.push(b"b")
        wire = session.transport
        assert isinstance(wire, Wire)
        assert session.flags & CLOSING & STOPPED and session.out == []
        assert (wire.closed_soon, wire.aborted) == (end == "close", end == "kill")


def test_subscriptions_without_shard_channels() -> None:
    broker = make_broker()
    session = make_session(broker)
    broker.pubsub.subscribe(session, b"a")
    broker.pubsub.subscribe_pattern(session, b"a*")
    broker.pubsub.subscribe_shard(session, b"a")
    assert session.subscriptions() == 2


def test_a_closed_session_is_forgotten() -> None:
    broker = make_broker()
    session = make_session(broker)
    db = session.db
    session.watched[(db, b"k")] = False
    db.watchers[b"k"] = {session}
    broker.close_session(session)
    assert broker.sessions == {} and db.watchers == {} and session.watched == {}


def test_a_session_is_one_of_any_host_unless_told() -> None:
    # A type checker knows the default; at run time the variable is a plain one.
    assert Session.__parameters__ == (HostT,)  # type: ignore[attr-defined]
    assert HostT.__bound__ is Host and HostT.__covariant__


@needs_source("broker.clients.session")
def test_a_weak_reference_is_refused() -> None:
    """Compiled, it would be left dangling; see test_native.py."""
    with pytest.raises(TypeError):
        weakref.ref(make_session(make_broker()))
