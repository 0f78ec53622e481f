"""Sessions and their users: what sets the flags, and who is closed."""

from broker.acl.log import COMMAND, TOP_LEVEL
from broker.broker import Broker
from broker.clients.permissions import close_clients, close_revoked, denial, denied_text, switch_users, update_sessions
from broker.clients.session import CLOSING, RESTRICTED, UNAUTHENTICATED, Session
from tests.broker.sessions import Wire, make_broker


def logged_in(broker: Broker, *rules: bytes) -> Session:
    user = broker.users.get(b"u") or broker.users.create(b"u")
    for rule in rules:
        user.apply(rule)
    broker.users.add(user)
    session = broker.open_session(Wire())
    session.become_user(user, True)
    return session


def test_only_users_with_limits_are_checked() -> None:
    broker = make_broker()
    assert logged_in(broker, b"+@all", b"~*", b"&*").flags == 0
    session = logged_in(broker, b"-get")
    assert session.flags == RESTRICTED
    assert session.user_name == b"u"


def test_a_change_reaches_all_clients_of_the_user() -> None:
    broker = make_broker()
    session, other = logged_in(broker, b"+@all", b"~*", b"&*"), broker.open_session(Wire())
    session.user.apply(b"-get")
    update_sessions(broker.sessions.values(), session.user)
    assert (session.flags, other.flags) == (RESTRICTED, 0)


def test_who_must_log_in_depends_on_the_default_user() -> None:
    broker = make_broker(requirepass=b"secret")
    session = broker.open_session(Wire())
    assert session.flags == UNAUTHENTICATED
    broker.users.default.apply(b"nopass")
    update_sessions(broker.sessions.values(), broker.users.default)
    assert session.flags == 0
    early = broker.open_session(Wire())
    broker.users.default.apply(b">secret")
    update_sessions(broker.sessions.values(), broker.users.default)
    assert (session.flags, early.flags) == (UNAUTHENTICATED, 0)


def test_a_denial_is_noted() -> None:
    broker = make_broker()
    session = logged_in(broker, b"+get", b"~a")
    command = broker.commands.plain[b"get"]
    assert denial(session, command, [b"get", b"a"], TOP_LEVEL) is None
    assert denial(session, command, [b"get", b"b"], TOP_LEVEL) == b"NOPERM No permissions to access a key"
    (entry,) = broker.users.log.entries
    assert (entry.reason, entry.object, entry.user) == ("key", b"b", b"u")
    assert b" user=u " in entry.client
    assert denied_text(session.user, command, COMMAND) == b"User u has no permissions to run the 'get' command"


def test_clients_of_a_deleted_user_are_closed() -> None:
    broker = make_broker()
    one, two, other = logged_in(broker, b"+@all"), logged_in(broker), broker.open_session(Wire())
    user = broker.users.remove(b"u")
    assert user is not None
    close_clients(broker.sessions.values(), user, one)
    assert one.flags & CLOSING and one.transport.closed_soon  # gets its reply first
    assert two.flags & CLOSING and two.transport.aborted
    assert not other.flags & CLOSING
    assert one.user is broker.users.default


def test_subscribers_without_permission_are_closed() -> None:
    broker = make_broker()
    keeps, loses = logged_in(broker, b"&a*"), logged_in(broker)
    broker.pubsub.subscribe(keeps, b"ab")
    broker.pubsub.subscribe_pattern(loses, b"a*")
    changed = keeps.user.copy(False)
    for rule in (b"resetchannels", b"&ab", b"&x"):
        changed.apply(rule)
    close_revoked(broker.sessions.values(), keeps.user, changed, broker.open_session(Wire()))
    assert not keeps.flags & CLOSING
    assert loses.flags & CLOSING


def test_after_a_reload_clients_act_as_the_new_user() -> None:
    broker = make_broker()
    session = logged_in(broker, b"+@all", b"~*", b"&*")
    gone = broker.open_session(Wire())
    gone.become_user(broker.users.create(b"gone"), True)
    renewed = broker.users.create(b"u")
    broker.users.add(renewed)
    switch_users(broker.sessions.values(), broker.open_session(Wire()))
    assert session.user is renewed
    assert session.flags == RESTRICTED
    assert gone.flags & CLOSING
