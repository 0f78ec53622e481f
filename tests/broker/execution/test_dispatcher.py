"""Dispatch: the order of the checks, what counts, and that no defect costs more than one reply."""

import gc
from collections.abc import Iterator

import pytest

from broker.broker import Broker
from broker.clients.session import CLOSING, IN_MULTI, REPLY_OFF, UNAUTHENTICATED, Session
from broker.execution import dispatcher as dispatch
from broker.keyspace.effects import Unit
from broker.table.command import DENYOOM, LOADING, NO_MULTI, READONLY, WRITE, Command
from tests.broker.sessions import make_broker, make_session, run, taken


@pytest.fixture
def broker() -> Broker:
    return make_broker()


@pytest.fixture
def session(broker: Broker) -> Session:
    return make_session(broker)


def _break(session: Session, args: list[bytes]) -> bytes:
    raise RuntimeError("a defect")


@pytest.fixture
def defect(broker: Broker) -> Iterator[Command]:
    """A command with a defect, under the name ECHO."""
    found = broker.commands.by_name[b"echo"]
    found.handler = _break
    yield found


def test_a_pipeline(session: Session) -> None:
    assert run(session, "SET a 1", "GET a", "get a", "NOPE", "GET", "gEt a") == (
        b"+OK\r\n$1\r\n1\r\n$1\r\n1\r\n-ERR unknown command 'NOPE'\r\n"
        b"-ERR wrong number of arguments for 'get' command\r\n$1\r\n1\r\n"
    )


def test_a_defect_costs_one_reply(broker: Broker, session: Session, defect: Command) -> None:
    assert run(session, "SET a 1", "ECHO x", "GET a") == b"+OK\r\n-ERR internal error\r\n$1\r\n1\r\n"
    assert defect.calls == defect.failed == 1


def test_a_defect_in_a_transaction_costs_one_reply(session: Session, defect: Command) -> None:
    reply = run(session, "MULTI", "SET a 1", "ECHO x", "GET a", "EXEC", "GET a")
    assert reply.endswith(b"*3\r\n+OK\r\n-ERR internal error\r\n$1\r\n1\r\n$1\r\n1\r\n")


def test_counters(broker: Broker, session: Session) -> None:
    run(session, "SET a 1", "GET a", "GET", "LPUSH a x", "NOPE", "PUBSUB NOPE")
    names = broker.commands.by_name
    assert (names[b"get"].calls, names[b"get"].rejected) == (1, 1)
    assert (names[b"lpush"].calls, names[b"lpush"].failed) == (1, 1)
    assert broker.stats.requests == 6
    assert broker.stats.errors == {b"ERR": 3, b"WRONGTYPE": 1}
    assert session.commands == 3, "what is rejected is not counted"
    run(session, "PUBSUB NUMPAT")
    assert session.last_command is broker.commands.find([b"pubsub", b"numpat"])


def test_kinds_of_errors_are_bounded(broker: Broker) -> None:
    for number in range(1000):
        broker.stats.count_error(b"CODE%d text" % number)
    assert len(broker.stats.errors) == 1


def test_too_many_replies_stop_the_pipeline(session: Session) -> None:
    run(session, [b"SET", b"k", b"x" * 300_000])
    requests = [[b"GET", b"k"]] * 10
    done = session.broker.dispatcher.execute(session, requests)
    assert done == 4 and sum(map(len, session.out)) > dispatch.REPLIES_AT_ONCE
    session.out.clear()
    run(session, [b"SET", b"k", b"x" * (dispatch.REPLIES_AT_ONCE // 2 - len(b"$524277\r\n\r\n"))])
    assert session.broker.dispatcher.execute(session, requests) == 3, "exactly as much is not too much"
    assert len(taken(session)) == 3 * dispatch.REPLIES_AT_ONCE // 2


def test_a_stopped_client_executes_nothing_more(session: Session) -> None:
    done = session.broker.dispatcher.execute(session, [[b"BLPOP", b"l", b"0"], [b"SET", b"a", b"1"]])
    assert done == 1 and taken(session) == b""
    other = make_session(session.broker)
    assert run(other, "GET a", "RPUSH l x") == b"$-1\r\n:1\r\n"
    assert taken(session) == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n"
    assert session.broker.resumed == [session]


def test_a_closing_client_executes_nothing_more(session: Session) -> None:
    done = session.broker.dispatcher.execute(session, [[b"QUIT"], [b"SET", b"a", b"1"]])
    assert done == 1 and session.flags & CLOSING
    assert session.broker.keyspace.databases[0].get(b"a") is None


def test_strangers_may_say_little() -> None:
    broker = make_broker(requirepass=b"secret")
    session = make_session(broker)
    assert session.flags & UNAUTHENTICATED
    assert run(session, "GET a") == b"-NOAUTH Authentication required.\r\n"
    assert run(session, "NOPE") == b"-ERR unknown command 'NOPE'\r\n"
    assert run(session, "GET") == b"-ERR wrong number of arguments for 'get' command\r\n"


def test_out_of_memory_refuses_what_needs_it(broker: Broker, session: Session) -> None:
    broker.state.out_of_memory = True
    broker.state.restrict()
    assert run(session, "SET a 1").startswith(b"-OOM")
    assert run(session, "GET a", "DEL a") == b"$-1\r\n:0\r\n"
    broker.state.out_of_memory = False
    broker.state.restrict()
    assert run(session, "MULTI", "SET a 1") == b"+OK\r\n+QUEUED\r\n"
    broker.state.out_of_memory = True
    broker.state.restrict()
    assert run(session, "EXEC").startswith(b"-EXECABORT Transaction discarded because of: OOM ")
    assert session.queued is None and not session.flags & IN_MULTI
    broker.state.out_of_memory = False
    broker.state.restrict()
    assert run(session, "SET a 1") == b"+OK\r\n"


def test_loading_refuses_what_needs_the_keys(broker: Broker, session: Session) -> None:
    broker.state.loading = True
    broker.state.restrict()
    assert run(session, "GET a").startswith(b"-LOADING")
    assert run(session, "MULTI") == b"+OK\r\n"
    assert run(session, "GET a").startswith(b"-LOADING")
    assert run(session, "EXEC").startswith(b"-EXECABORT")


def test_the_order_of_refusals(broker: Broker, session: Session) -> None:
    """Existence, arity, memory, subscribed mode, loading: whichever comes first in Redis is the error."""
    run(session, "SUBSCRIBE c")
    broker.state.out_of_memory = broker.state.loading = True
    broker.state.restrict()
    assert run(session, "NOPE").startswith(b"-ERR unknown")
    assert run(session, "SET a").startswith(b"-ERR wrong number")
    assert run(session, "SET a 1").startswith(b"-OOM")
    assert run(session, "GET a").startswith(b"-ERR Can't execute 'get'")
    broker.state.out_of_memory = False
    run(session, "UNSUBSCRIBE c")
    assert run(session, "GET a").startswith(b"-LOADING")


def test_flags_the_checks_rely_on(broker: Broker) -> None:
    names = broker.commands.by_name
    assert names[b"set"].flags & WRITE and names[b"set"].flags & DENYOOM
    assert names[b"get"].flags & READONLY and not names[b"get"].flags & LOADING


def test_what_a_transaction_must_not_hold(broker: Broker, session: Session) -> None:
    broker.commands.by_name[b"echo"].flags |= NO_MULTI
    assert run(session, "ECHO x") == b"$1\r\nx\r\n"
    assert run(session, "MULTI", "ECHO x", "EXEC") == (
        b"+OK\r\n-ERR Command not allowed inside a transaction\r\n"
        b"-EXECABORT Transaction discarded because of previous errors.\r\n"
    )


def test_silence(session: Session) -> None:
    session.flags |= REPLY_OFF
    assert run(session, "SET a 1", "NOPE", "GET a") == b""
    session.flags &= ~REPLY_OFF
    assert run(session, "GET a") == b"$1\r\n1\r\n"


def test_effects_of_a_write(broker: Broker, session: Session) -> None:
    effects: list[Unit] = []
    broker.keyspace.effects.sinks.append(effects.append)
    run(session, "SELECT 2", "SET a 1", "GET a", "DEL nothing", "DEL a", "LPUSH b")
    assert effects == [[(2, [b"SET", b"a", b"1"])], [(2, [b"DEL", b"a"])]]
    assert broker.keyspace.changes == 2 and broker.keyspace.dirty == 0


def test_what_a_failed_command_named_is_void(broker: Broker, session: Session) -> None:
    effects: list[Unit] = []
    broker.keyspace.effects.sinks.append(effects.append)

    def fail(session: Session, args: list[bytes]) -> bytes:
        session.db.keyspace.effects.replace_with([b"SET", b"wrong", b"1"])
        raise RuntimeError

    broker.commands.by_name[b"echo"].handler = fail
    run(session, "ECHO x", "SET a 1")
    assert effects == [[(0, [b"SET", b"a", b"1"])]]


def test_the_hot_path_keeps_nothing(session: Session) -> None:
    """A request that is answered leaves no garbage for the collector."""
    requests = [[b"SET", b"a", b"1"], [b"GET", b"a"]] * 50
    session.broker.dispatcher.execute(session, requests)
    session.out.clear()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            session.broker.dispatcher.execute(session, requests)
            session.out.clear()
        assert gc.collect() == 0
    finally:
        gc.enable()
