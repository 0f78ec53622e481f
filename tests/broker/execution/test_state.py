"""Broker-wide states: they show in every session's flags, and pauses are prolonged, never shortened."""

import pytest
import trio
from trio.testing import MockClock

from broker.broker import Broker
from broker.clients.session import BROKER_STATE, POSTPONED
from tests.broker.sessions import make_broker, make_session


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.mark.parametrize(
    ("name", "value"), [("loading", True), ("out_of_memory", True), ("write_refusal", b"MISCONF"), ("busy", b"BUSY")]
)
def test_each_state_shows_in_the_flagss_of_old_and_new_clients(broker: Broker, name: str, value: object) -> None:
    before = make_session(broker)
    ordinary = getattr(broker.state, name)
    setattr(broker.state, name, value)
    broker.state.restrict()
    assert before.flags & make_session(broker).flags & BROKER_STATE
    setattr(broker.state, name, ordinary)
    broker.state.restrict()
    assert not broker.state.restricted()
    assert not any(session.flags for session in broker.sessions.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [("loading", True), ("replica", True), ("importing", True), ("paused", "write"), ("write_refusal", b"MISCONF")],
)
def test_when_the_broker_does_not_act_by_itself(broker: Broker, name: str, value: object) -> None:
    assert broker.state.acts_by_itself()
    setattr(broker.state, name, value)
    assert not broker.state.acts_by_itself()


async def test_a_pause_is_prolonged_and_made_stricter_only(broker: Broker, autojump_clock: MockClock) -> None:
    state, began = broker.state, trio.current_time()
    state.pause("write", 5000)
    state.pause("all", 1000)
    assert state.paused == "all"
    state.pause("write", 2000)
    assert state.paused == "all"
    assert state._pause_ends is not None
    assert state._pause_ends.when == began + 5
    state.unpause()
    assert not state.paused and not state.restricted()


async def test_what_a_pause_held_back_goes_on_in_the_order_it_came(broker: Broker) -> None:
    sessions = [make_session(broker) for _ in range(3)]
    broker.state.pause("all", 1000)
    for session in reversed(sessions):
        session.flags |= POSTPONED
        broker.state.postponed.append(session)
    broker.state.unpause()
    assert broker.resumed == sessions[::-1]
    assert not any(session.flags for session in sessions)
    assert not broker.state.postponed
