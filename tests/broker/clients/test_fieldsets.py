"""Fieldsets belong to a client, or to one run of a script."""

from broker.clients.fieldsets import Fieldset, Fieldsets
from tests.broker.sessions import make_broker, make_session


def test_names_are_sorted_as_redis_does() -> None:
    fieldset = Fieldset([b"b", b"aa", b"B", b"ab", b"a"])
    assert [fieldset.names[at] for at in fieldset.order] == [b"B", b"a", b"b", b"aa", b"ab"]


def test_each_client_has_its_own() -> None:
    broker = make_broker()
    first, second = make_session(broker), make_session(broker)
    fieldsets = Fieldsets()
    fieldsets.of(first, None)[b"x"] = Fieldset([b"a"])
    assert (list(fieldsets.of(first, None)), list(fieldsets.of(second, None))) == ([b"x"], [])
    fieldsets.forget(first)
    fieldsets.forget(first)
    assert fieldsets.of(first, None) == {}


def test_a_scripts_last_as_long_as_its_run() -> None:
    session = make_session(make_broker())
    session.is_script = True
    fieldsets = Fieldsets()
    fieldsets.of(session, "run")[b"x"] = Fieldset([b"a"])
    assert list(fieldsets.of(session, "run")) == [b"x"]
    assert fieldsets.of(session, "next run") == {}
