"""The executor: what one command leaves, its time above all, and that the dispatcher's loop is the same act."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.broker import Broker
from broker.clients.session import Session
from broker.commands.lists.pops import blpop
from broker.keyspace import digest
from broker.keyspace.effects import Unit
from broker.table.command import Command
from broker.values.list import List
from protocol.errors import CommandError
from protocol.replies import NO_REPLY, OK
from tests.broker.direct import Client
from tests.broker.sessions import StoppedClock, make_broker, make_session, make_slow, run, taken


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def broker(clock: StoppedClock) -> Broker:
    return make_broker(clock)


@pytest.fixture
def session(broker: Broker) -> Session:
    return make_session(broker)


@pytest.fixture(autouse=True)
def slow(broker: Broker, clock: StoppedClock) -> None:
    """ECHO and PUBLISH take as many seconds as their last argument says."""
    make_slow(broker, clock, b"echo", b"publish")


def spent(broker: Broker) -> dict[str, tuple[int, float]]:
    """The calls and the seconds of each command that has any."""
    return {each.name.decode(): (each.calls, each.seconds) for each in broker.commands if each.calls or each.seconds}


# Time


def test_commands_of_one_kind_share_their_time(broker: Broker, session: Session) -> None:
    run(session, "ECHO 1", "ECHO 2", "ECHO 4")
    assert spent(broker) == {"echo": (3, 7)}


def test_each_kind_in_a_pipeline_has_its_own_time(broker: Broker, session: Session) -> None:
    run(session, "ECHO 1", "PUBLISH c 0.5", "ECHO 2", "ECHO 4", "GET a", "ECHO 8")
    assert spent(broker) == {"echo": (4, 15), "publish": (1, 0.5), "get": (1, 0)}


def test_checked_requests_are_timed_by_themselves(broker: Broker, session: Session) -> None:
    run(session, "ECHO 1", "Publish c 0.5", "ECHO 2", "NOTHING", "ECHO", "eCHO 4", "CLIENT GETNAME")
    assert spent(broker) == {"echo": (3, 7), "publish": (1, 0.5), "client|getname": (1, 0)}
    assert broker.commands.by_name[b"echo"].rejected == 1


def test_time_passes_between_pipelines(broker: Broker, clock: StoppedClock, session: Session) -> None:
    for _ in range(3):
        run(session, "ECHO 1")
        clock.seconds += 100
    assert spent(broker) == {"echo": (3, 3)}


def test_a_failing_command_takes_its_time(broker: Broker, clock: StoppedClock, session: Session) -> None:
    def fail(session: Session, args: list[bytes]) -> bytes:
        clock.seconds += 2
        raise CommandError(b"ERR no")

    broker.commands.by_name[b"get"].handler = fail
    run(session, "GET a", "ECHO 1", "Get a")
    assert spent(broker) == {"get": (2, 4), "echo": (1, 1)}


def test_the_time_of_a_transaction_is_also_its_commands(broker: Broker, session: Session) -> None:
    run(session, "MULTI", "ECHO 1", "PUBLISH c 0.5", "ECHO 2", "EXEC", "ECHO 4")
    assert spent(broker) == {"multi": (1, 0), "echo": (3, 7), "publish": (1, 0.5), "exec": (1, 3.5)}


def test_the_time_of_a_script_is_also_its_calls(broker: Broker, clock: StoppedClock, session: Session) -> None:
    script = b"redis.call('ECHO', '1') redis.call('ECHO', '2') return redis.call('PUBLISH', 'c', '0.5')"
    run(session, "ECHO 4", [b"EVAL", script, b"0"])
    assert spent(broker) == {"echo": (3, 7), "publish": (1, 0.5), "eval": (1, 3.5)}


def test_a_call_has_its_time_without_the_compiled_border_too(broker: Broker, session: Session) -> None:
    for seconds in (b"2", b"0.5"):
        assert broker.executor.run_call(session, broker.commands.by_name[b"echo"], [b"ECHO", seconds]) == OK
    assert spent(broker) == {"echo": (2, 2.5)}


def _wait_slowly(clock: StoppedClock, seconds: float) -> Callable[[Session, list[bytes]], bytes]:
    """A command function that waits for the list `l`; each time it runs it takes so long."""

    def handler(session: Session, args: list[bytes]) -> bytes:
        clock.seconds += seconds
        if session.db.get(b"l") is not None:
            return OK
        return session.broker.blocking.wait(  # type: ignore[no-any-return]
            session, handler, args, keys=[b"l"], value_type=List, timeout_ms=0, timeout_reply=b"$-1\r\n"
        )

    return handler


@pytest.mark.parametrize("behind", [0, 1], ids=["last", "between"])
@pytest.mark.parametrize("name", ["RPUSH", "rPush"], ids=["plain", "checked"])
def test_a_waiting_clients_command_has_its_own_time(
    broker: Broker, clock: StoppedClock, session: Session, name: str, behind: int
) -> None:
    broker.commands.by_name[b"blpop"].handler = _wait_slowly(clock, 2)
    waiting = make_session(broker)
    run(waiting, "ECHO 1", "BLPOP l 0")
    assert spent(broker) == {"echo": (1, 1)}, "counted when it is answered"
    clock.seconds += 100
    run(session, "ECHO 1", f"{name} l x", *["ECHO 1"] * behind)
    assert spent(broker) == {"echo": (2 + behind, 2 + behind), "rpush": (1, 0), "blpop": (1, 4)}
    assert taken(waiting) == OK
    run(waiting, "Blpop l 0", "BLPOP l 0")
    assert spent(broker) == {"echo": (2 + behind, 2 + behind), "rpush": (1, 0), "blpop": (3, 8)}


def test_what_is_served_between_requests_is_nobody_elses_time(
    broker: Broker, clock: StoppedClock, session: Session
) -> None:
    broker.commands.by_name[b"blpop"].handler = _wait_slowly(clock, 2)
    waiting = make_session(broker)
    run(waiting, "BLPOP l 0")
    broker.blocking.retry(waiting)
    run(session, "ECHO 10")
    assert spent(broker) == {"echo": (1, 10)}
    assert waiting.waiting is not None and waiting.waiting.seconds == 4


def test_a_wait_that_ends_without_anything_counts(broker: Broker) -> None:
    waiting, other = Client(broker), Client(broker)
    waiting.do("BLPOP l 0")
    other.do(f"CLIENT UNBLOCK {waiting.session.id}")
    waiting.do("BLPOP l 0")
    other.do(f"CLIENT UNBLOCK {waiting.session.id} ERROR")
    waiting.do("BLPOP l 0")
    broker.close_session(waiting.session)
    found = broker.commands.by_name[b"blpop"]
    assert (found.calls, found.failed) == (2, 1)


def test_messages_to_a_waiting_client_follow_its_reply_or_come_at_once(broker: Broker, session: Session) -> None:
    message = b">1\r\n+message\r\n"

    def handler(session: Session, args: list[bytes]) -> bytes:
        session.push(message)
        if session.db.get(b"l") is not None:
            return OK
        return session.broker.blocking.wait(  # type: ignore[no-any-return]
            session, handler, args, keys=[b"l"], value_type=List, timeout_ms=0, timeout_reply=b"$-1\r\n"
        )

    broker.commands.by_name[b"blpop"].handler = handler
    waiting = make_session(broker)
    run(waiting, "BLPOP l 0")
    broker.blocking.retry(waiting)
    assert taken(waiting) == message
    run(session, "RPUSH l x")
    assert taken(waiting) == OK + message


def test_counting_begins_again(broker: Broker, session: Session) -> None:
    run(session, "ECHO 1", "CONFIG RESETSTAT")
    assert spent(broker) == {"config|resetstat": (1, 0)}


def test_what_a_script_calls_is_propagated(broker: Broker, session: Session) -> None:
    effects: list[Unit] = []
    broker.keyspace.effects.sinks.append(effects.append)
    reply = broker.executor.run_call(session, broker.commands.by_name[b"set"], [b"SET", b"a", b"x"])
    assert (reply, effects, broker.keyspace.changes) == (OK, [[(0, [b"SET", b"a", b"x"])]], 1)


# What changes nothing


@pytest.mark.parametrize(
    "line",
    ["DELEX none", "XCFGSET s RETAIN LIMITS", "XGROUP CFGSET s g ACKWAIT 0", "XREPLY s g 9-9 x", "PUBLISH news text"],
)
async def test_a_command_without_changes_leaves_nothing_to_the_next_one(line: str) -> None:
    client = Client(make_broker(stream_extensions=True))
    for before in ("XGROUP CREATE s g 0 MKSTREAM", "XCFGSET text CHANNELS 1 news", "SET text x"):
        assert not client.do(before).startswith(b"-")
    effects: list[Unit] = []
    client.broker.keyspace.effects.sinks.append(effects.append)
    client.do(line)
    client.do("SET a x")
    assert effects == [[(0, [b"SET", b"a", b"x"])]]


def _names_effects(session: Session, args: list[bytes]) -> bytes:
    session.db.keyspace.effects.replace_with([b"DEL", b"a"])
    return OK


IDLE = [b"ECHO", b"0"]
SET = [b"SET", b"a", b"x"]


@pytest.mark.parametrize("batch", [[IDLE, SET], [[b"MULTI"], IDLE, SET, [b"EXEC"]]])
def test_effects_without_a_change_are_not_those_of_the_next_command(batch: list[list[bytes]]) -> None:
    for execute in (Trial.by_loop, Trial.one_by_one):
        trial = Trial(journal=True)
        trial.broker.commands.by_name[b"echo"].handler = _names_effects
        execute(trial, [batch])
        assert trial.effects == [[(0, SET)]]


# The dispatcher's loop

KEYS = st.sampled_from([b"a", b"b", b"l"])
VALUES = st.sampled_from([b"1", b"x"])
REQUESTS = st.one_of(
    st.tuples(st.sampled_from([b"SET", b"INCRBY", b"RPUSH", b"SADD", b"set", b"GETSET"]), KEYS, VALUES),
    st.tuples(st.sampled_from([b"GET", b"LPOP", b"DEL", b"INCR", b"PERSIST", b"SMEMBERS"]), KEYS),
    st.tuples(st.sampled_from([b"SET"]), KEYS, VALUES, st.just(b"EX"), st.just(b"100")),
    st.tuples(st.just(b"XADD"), st.sampled_from([b"s", b"a"]), st.just(b"*"), st.just(b"f"), VALUES),
    st.tuples(st.just(b"LMOVE"), KEYS, KEYS, st.just(b"LEFT"), st.just(b"RIGHT")),
    st.tuples(st.just(b"SELECT"), st.sampled_from([b"0", b"1", b"99"])),
    st.just((b"TIME",)),
).map(list)


def _defect(session: Session, args: list[bytes]) -> bytes:
    raise RuntimeError("a defect")


class Trial:
    """A broker, a client of it, and others that wait for keys; with or without a journal."""

    def __init__(self, journal: bool) -> None:
        self.broker = make_broker(StoppedClock())
        self.broker.commands.by_name[b"time"].handler = _defect
        self.effects: list[Unit] = []
        if journal:
            self.broker.keyspace.effects.sinks.append(self.effects.append)
        self.session = make_session(self.broker)
        self.waiting = [make_session(self.broker) for _ in range(2)]
        for session in self.waiting:
            assert blpop(session, [b"BLPOP", b"l", b"0"]) == NO_REPLY

    def by_loop(self, batches: list[list[list[bytes]]]) -> None:
        """Execute each batch as one pipeline."""
        for batch in batches:
            assert self.broker.dispatcher.execute(self.session, [list(request) for request in batch]) == len(batch)

    def one_by_one(self, batches: list[list[list[bytes]]]) -> None:
        """Execute each request by Executor.run."""
        broker, session = self.broker, self.session
        for batch in batches:
            for request in batch:
                command = broker.commands.find(request)
                assert isinstance(command, Command)
                position = broker.keyspace.effects.position
                session.out.append(broker.executor.run(session, command, list(request)))
                if broker.keyspace.ready:
                    broker.blocking.serve()
                if broker.keyspace.effects.position != position:
                    session.last_write_position = broker.keyspace.effects.position

    def outcome(self) -> dict[str, object]:
        """All that the requests have left."""
        keyspace = self.broker.keyspace
        return {
            "replies": taken(self.session),
            "waiting": [
                (taken(session), session.waiting is None, session.last_write_position) for session in self.waiting
            ],
            "counters": [(each.name, each.calls, each.failed, each.rejected) for each in self.broker.commands],
            "errors": self.broker.stats.errors,
            "effects": self.effects,
            "written": self.session.last_write_position,
            "changes": (keyspace.changes, keyspace.dirty, keyspace.ready),
            "keys": (digest.of_databases(keyspace.databases), [each.expires for each in keyspace.databases]),
        }


@given(batches=st.lists(st.lists(REQUESTS, min_size=1, max_size=8), max_size=6), journal=st.booleans())
def test_a_pipeline_leaves_what_its_requests_leave_one_by_one(batches: list[list[list[bytes]]], journal: bool) -> None:
    together, apart = Trial(journal), Trial(journal)
    together.by_loop(batches)
    apart.one_by_one(batches)
    assert together.outcome() == apart.outcome()
