"""Random groups and policies, and consumers that crash, return entries and time out, against a plain model.

No entry is lost, none is delivered to two consumers within its ack wait, the order of each value is kept, and the
numbers of deliveries and the dead letters are exact. TRIMARAN_MODEL_EXAMPLES sets how many histories are played.
"""

import os
from collections.abc import Iterator

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from broker.broker import Broker
from broker.process.clock import TrioClock
from tests.broker.direct import Client
from tests.broker.effects import journal
from tests.broker.policies.model import GroupModel, Rules
from tests.broker.sessions import make_broker
from tests.oracle.wire import Node, parse

EXAMPLES = int(os.environ.get("TRIMARAN_MODEL_EXAMPLES") or 25)
CONSUMERS = st.sampled_from(["a", "b", "c"])
RULES = st.builds(
    Rules,
    ack_wait=st.sampled_from([0, 100, 100, 1000]),
    max_deliver=st.sampled_from([0, 0, 1, 2, 3]),
    backoff=st.sampled_from([(), (), (50,), (50, 200, 1000)]),
    max_inflight=st.sampled_from([0, 0, 2, 3]),
    ordered=st.sampled_from([True, True, False]),
    dead_letters=st.booleans(),
)


class Time:
    """Takes the place of Trio's clock; milliseconds since its start, and a nanosecond for each look at it.

    So a time and a wait are never more than their sum, whichever way floats are rounded.
    """

    ms = 0
    looks = 0

    def current(self) -> float:
        self.looks += 1
        return self.ms / 1000 + self.looks / 1e9


TIME = Time()


class ManualClock(TrioClock):
    """Wall time and stopwatch go by TIME."""

    stopwatch = staticmethod(TIME.current)


class Machine(RuleBasedStateMachine):
    """A broker whose time stands still between the steps."""

    @initialize(rules=RULES, parked_max=st.sampled_from([0, 2, 1000]))
    def start(self, rules: Rules, parked_max: int) -> None:
        TIME.ms = TIME.looks = 0
        self.parked_max = parked_max
        self.number = 0
        self.waiting: tuple[Client, str, int] | None = None
        self.model = GroupModel(rules, parked_max)
        self.open()
        self.do("XGROUP CREATE s g 0 MKSTREAM")
        self.set(rules)

    def open(self) -> None:
        self.broker: Broker = make_broker(ManualClock(), stream_extensions=True, stream_parked_max=self.parked_max)
        self.effects = journal(self.broker)
        self.client = Client(self.broker)

    # The broker

    def do(self, command: str) -> Node:
        self.tick()
        reply = parse(self.client.do(command))
        assert reply.kind != "-", (command, reply.text)
        return reply

    def tick(self) -> None:
        """What a server does before it executes requests: the time, and timers that are due."""
        self.broker.clock.update()
        self.model.now = TIME.ms
        self.broker.deadlines._call_due(self.broker.clock.update, lambda: None)
        self.model.bury_dead()

    def check(self) -> None:
        """The client that waits has got what is there, and nothing differs."""
        if self.waiting is not None:
            client, consumer, limit = self.waiting
            reply = client.take()
            if reply:
                self.waiting = None
            self.model.read(consumer, limit, False, _ids(parse(reply)) if reply else [])
        rows = parse(self.client.do("XPENDING s g - + 10000")).items
        found = [(_number(row.items[0]), row.items[1].text.decode(), int(row.items[3].text)) for row in rows]
        self.model.compare(found)
        self.check_dead()

    def check_dead(self) -> None:
        letters = {}
        for entry in parse(self.client.do("XRANGE dlq - +")).items:
            words = [word.text for word in entry.items[1].items]
            fields = dict(zip(words[::2], words[1::2], strict=True))
            id = int(fields[b"dead-id"].split(b"-")[0])
            assert id not in letters, "dead twice"
            letters[id] = (fields[b"dead-consumer"].decode(), int(fields[b"dead-delivery-count"]))
        assert letters == self.model.dead

    def set(self, rules: Rules) -> None:
        self.model.rules = rules
        order, target = "v" if rules.ordered else '""', "dlq" if rules.dead_letters else '""'
        self.do(
            f"XGROUP CFGSET s g ACKWAIT {rules.ack_wait} MAXDELIVER {rules.max_deliver}"
            f" BACKOFF {len(rules.backoff)} {' '.join(map(str, rules.backoff))}"
            f" MAXINFLIGHT {rules.max_inflight} ORDERBY {order} DEADLETTER {target}"
        )
        self.advance(0)

    # Steps

    @rule(values=st.lists(st.sampled_from(["x", "x", "y", None]), min_size=1, max_size=4))
    def add(self, values: list[str | None]) -> None:
        for value in values:
            self.number += 1
            self.model.add(self.number, value)
            self.do(f"XADD s {self.number}-1 n 1" + (f" v {value}" if value else ""))
            self.check()

    @rule(consumer=CONSUMERS, limit=st.integers(0, 3), noack=st.sampled_from([False, False, False, True]))
    def read(self, consumer: str, limit: int, noack: bool) -> None:
        count = f"COUNT {limit}" if limit else ""
        reply = self.do(f"XREADGROUP GROUP g {consumer} {count} {'NOACK' if noack else ''} STREAMS s >")
        self.model.read(consumer, limit, noack, _ids(reply))
        self.check()

    @precondition(lambda self: self.waiting is None)
    @rule(consumer=CONSUMERS, limit=st.integers(0, 3))
    def wait(self, consumer: str, limit: int) -> None:
        self.tick()
        client = Client(self.broker)
        count = f"COUNT {limit}" if limit else ""
        reply = client.do(f"XREADGROUP GROUP g {consumer} {count} BLOCK 0 STREAMS s >")
        self.model.read(consumer, limit, False, _ids(parse(reply)) if reply else [])
        if not reply:
            self.waiting = client, consumer, limit
        self.check()

    @precondition(lambda self: self.model.pending)
    @rule(data=st.data(), together=st.booleans())
    def acknowledge(self, data: st.DataObject, together: bool) -> None:
        ids = sorted(self.model.pending)
        chosen = ids if together else [data.draw(st.sampled_from(ids))]
        self.do("XACK s g " + " ".join(f"{id}-1" for id in chosen))
        for id in chosen:
            self.model.end(id, "acknowledged")
        self.check()

    @precondition(lambda self: self.model.owned())
    @rule(
        data=st.data(), mode=st.sampled_from(["FAIL", "FAIL", "SILENT", "FATAL"]), delay=st.sampled_from([-1, -1, 20])
    )
    def nack(self, data: st.DataObject, mode: str, delay: int) -> None:
        id = data.draw(st.sampled_from(self.model.owned()))
        if mode == "FATAL" or not self.model.rules.waits():
            delay = -1
        option = f"DELAY {delay}" if delay >= 0 else ""
        self.do(f"XNACK s g {mode} IDS 1 {id}-1 {option}")
        self.model.nack(id, mode, delay)
        self.check()

    @rule(ms=st.sampled_from([0, 1, 49, 50, 99, 100, 1000, 40_000]))
    def advance(self, ms: int) -> None:
        """Consumers that have crashed are just that: time passes, and nobody acknowledges anything."""
        ends = TIME.ms + ms
        while True:
            self.tick()
            self.broker.policies.check()
            if self.broker.keyspace.ready:
                self.broker.blocking.serve()
            self.check()
            due = [when for when, _, timer in self.broker.deadlines._heap if timer.action is not None]
            following = max(TIME.ms + 1, round(min(due, default=1e9) * 1000))
            if following > ends:
                break
            TIME.ms = following
        TIME.ms = ends
        self.tick()
        self.check()

    @rule(data=st.data(), what=st.sampled_from(["claim", "claim", "leave", "change", "restart"]), consumer=CONSUMERS)
    def disturb(self, data: st.DataObject, what: str, consumer: str) -> None:
        """What happens less often."""
        if what == "change":
            self.set(data.draw(RULES))
        elif what == "restart":
            self.restart()
        elif what == "leave":
            self.do(f"XGROUP DELCONSUMER s g {consumer}")
            self.model.leave(consumer)
        elif self.model.pending:
            id = data.draw(st.sampled_from(sorted(self.model.pending)))
            self.do(f"XCLAIM s g {consumer} 0 {id}-1")
            self.model.claim(id, consumer)
        self.check()

    def restart(self) -> None:
        """Another broker executes what this one has propagated: a restart, or the promotion of a replica."""
        effects = self.effects
        self.waiting = None
        self.open()
        self.broker.clock.update()
        for _, words in effects:
            assert not self.client.do([*words]).startswith(b"-"), words
        self.effects[:] = effects
        self.broker.policies.reload()
        self.advance(0)

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        # Whatever has happened, in the end everything is delivered.
        if self.waiting is not None:
            self.broker.blocking.cancel(self.waiting[0].session)
            self.waiting = None
        self.set(Rules(ack_wait=100, ordered=self.model.rules.ordered))
        for _ in range(3 * len(self.model.values) + 3):
            self.read("a", 0, False)
            if self.model.pending:
                self.do("XACK s g " + " ".join(f"{id}-1" for id in self.model.owned()) + " 0-1")
                for id in self.model.owned():
                    self.model.end(id, "acknowledged")
            self.check()
            self.advance(100)
        assert not self.model.pending and not self.model.unread
        assert self.model.outcome.keys() == self.model.values.keys()


def _number(node: Node) -> int:
    return int(node.text.split(b"-")[0])


def _ids(reply: Node) -> list[int]:
    return [_number(entry.items[0]) for stream in reply.items for entry in stream.items[1].items]


@pytest.fixture
def _manual_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(trio, "current_time", TIME.current)
    yield


@pytest.mark.usefixtures("_manual_time")
def test_whatever_happens() -> None:
    run_state_machine_as_test(
        Machine,
        settings=settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None, report_multiple_bugs=False),
    )
