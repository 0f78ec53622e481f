"""Settling in batches: what one round trip holds, and what is sent again after one whose outcome is unknown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint
from coredis.exceptions import ConnectionError, ResponseError, StreamConsumerGroupError, WrongTypeError

from consumers.capabilities import Capabilities
from consumers.groups import Group
from consumers.owners import Phase
from consumers.retry import Backoff
from consumers.settling import Outcome, Settlement, Settler

Answer = Callable[[list[tuple[Any, ...]]], list[Any]]


@dataclass(eq=False)
class Entry:
    id: str
    stream: str = "s"
    values: list[bytes] = field(default_factory=lambda: [b"n", b"1"])
    delivery_count: int = 2
    lost: bool = False
    doubtful: int = 0
    phase: Phase = Phase.CLEAN
    caller: bytes | None = None


class Link:
    """A server of which each round trip is answered by the next of `answers`; the last one answers all others."""

    def __init__(self, *answers: Answer, calls: bool = False) -> None:
        self.calls = calls
        self.sent: list[list[tuple[Any, ...]]] = []
        self._answers = list(answers)

    async def capabilities(self, *, reading: bool) -> Capabilities:
        return Capabilities(True, True, True, False, self.calls)

    async def execute(self, commands: Sequence[Any], *, limit: float = 5) -> list[Any]:
        await checkpoint()
        self.sent.append([tuple(command) for command in commands])
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer(self.sent[-1])


def fine(commands: list[tuple[Any, ...]]) -> list[Any]:
    """All is well, and every entry is still ours."""
    replies: list[Any] = []
    since = 0
    for command in commands:
        if command[0] == b"MULTI":
            since = len(replies)
        replies.append([1] * (len(replies) - since - 1) if command[0] == b"EXEC" else [[b"x", b"a", 1, 1]])
    return replies


def lost(commands: list[tuple[Any, ...]]) -> list[Any]:
    raise ConnectionError("lost")


def settler(link: Any, settled: list[Settlement] | None = None, dead_letter: str | None = "dead") -> Settler:
    group = Group(link, ["s", "t"], "g", "a", 1.0)
    note = settled.append if settled is not None else lambda settlement: None
    return Settler(
        group, note, dead_letter=dead_letter, dead_maxlen=None, reconnect=Backoff(initial=0.1, jitter=False)
    )  # fmt: skip


def names(commands: list[tuple[Any, ...]]) -> list[bytes]:
    return [command[0] for command in commands]


async def test_everything_that_was_decided_goes_in_one_round_trip() -> None:
    link, done = Link(fine), list[Settlement]()
    subject = settler(link, done)
    for n in range(3):
        subject.submit(Settlement(Entry(f"{n}-0"), Outcome.ACK))
    subject.submit(Settlement(Entry("3-0", "t"), Outcome.ACK))
    subject.submit(Settlement(Entry("4-0"), Outcome.NACK))
    subject.submit(Settlement(Entry("5-0"), Outcome.DEAD_LETTER, reason="no good"))
    subject.submit(Settlement(Entry("6-0"), Outcome.ACK, commands=[(b"SET", "k", 1)]))
    await subject.finish()
    (sent,) = link.sent
    assert sorted(names(sent)) == sorted(
        [b"XACK", b"XACK", b"XNACK", b"MULTI", b"XADD", b"XACK", b"EXEC", b"MULTI", b"XACK", b"SET", b"EXEC"]
    )
    assert (b"XACK", "s", "g", "0-0", "1-0", "2-0") in sent and (b"XACK", "t", "g", "3-0") in sent
    assert len(done) == 7 and all(one.confirmed for one in done) and not len(subject)


@pytest.mark.parametrize("calls", [True, False])
async def test_callers_are_told_what_has_become_of_their_entries(calls: bool) -> None:
    link, done = Link(fine, calls=calls), list[Settlement]()
    subject = settler(link, done)
    waiting = Entry("1-0", caller=b"t")
    answered = Settlement(waiting, Outcome.ACK, answer=b"7", commands=[(b"SET", "k", 1)])
    unknown = Settlement(Entry("2-0"), Outcome.ACK, answer=b"8")
    for one in (
        answered, unknown, Settlement(waiting, Outcome.ACK, single=True),
        Settlement(waiting, Outcome.DEAD_LETTER, reason="no good"),
        Settlement(Entry("3-0"), Outcome.DEAD_LETTER, reason="no good"),
    ):  # fmt: skip
        subject.submit(one)
    await subject.finish()
    (sent,) = link.sent
    key = b"{s}:reply:t"
    told = [command for command in sent if command[0] in (b"XACK", b"XREPLY", b"SET") or key in command]
    ack = (b"XACK", "s", "g", "1-0")
    assert told == [
        ack, (b"XADD", key, b"NOMKSTREAM", b"*", b"value", b"7"), (b"SET", "k", 1),
        (b"XREPLY", "s", "g", "2-0", b"8") if calls else (b"XACK", "s", "g", "2-0"),
        ack, (b"XADD", key, b"NOMKSTREAM", b"*", b"none", b""),
        ack, (b"XADD", key, b"NOMKSTREAM", b"*", b"dead", b"no good"),
        (b"XREPLY", "s", "g", "3-0", b"no good", b"DEADLETTER") if calls else (b"XACK", "s", "g", "3-0"),
    ]  # fmt: skip
    # `fine` lets 1 be the result of each command in a transaction
    assert answered.answered and not unknown.answered and len(done) == 5


async def test_an_answer_that_nobody_waits_for() -> None:
    def late(commands: list[tuple[Any, ...]]) -> list[Any]:
        return [b"OK", b"QUEUED", b"QUEUED", [1, None]] if len(commands) == 4 else [0]

    for link, entry in ((Link(late), Entry("1-0", caller=b"t")), (Link(late, calls=True), Entry("1-0"))):
        subject = settler(link)
        settlement = Settlement(entry, Outcome.ACK, answer=b"7")
        subject.submit(settlement)
        await subject.finish()
        assert settlement.confirmed and not settlement.answered


async def test_after_a_lost_reply_only_what_is_still_ours_is_given_back(autojump_clock: trio.testing.MockClock) -> None:
    def ours(commands: list[tuple[Any, ...]]) -> list[Any]:
        return [[[b"x", b"a", 1, 1]] if command[3] == "2-0" else [] for command in commands]

    link, done = Link(lost, lost, ours, fine), list[Settlement]()
    subject = settler(link, done)
    subject.submit(Settlement(Entry("1-0"), Outcome.NACK))
    subject.submit(Settlement(Entry("2-0"), Outcome.NACK))
    subject.submit(Settlement(Entry("3-0"), Outcome.ACK))
    await subject.finish()
    assert names(link.sent[0]) == [b"XNACK", b"XNACK", b"XACK"]
    assert names(link.sent[2]) == [b"XPENDING", b"XPENDING"]
    assert [command[:6] for command in link.sent[3]] == [
        (b"XNACK", "s", "g", b"FAIL", b"IDS", 1), (b"XACK", "s", "g", "3-0"),
    ]  # fmt: skip
    assert link.sent[3][0][6] == "2-0" and len(done) == 3


async def test_what_the_server_has_no_room_for_now_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    def full(commands: list[tuple[Any, ...]]) -> list[Any]:
        refusal = ResponseError("OOM command not allowed")
        return [1, b"OK", refusal, b"QUEUED", ResponseError("EXECABORT")]

    link = Link(lambda commands: full(sorted(commands, key=len)), fine)
    done: list[Settlement] = []
    subject = settler(link, done)
    subject.submit(Settlement(Entry("1-0"), Outcome.DEAD_LETTER))
    await subject.finish()
    assert names(link.sent[0]) == [b"MULTI", b"XADD", b"XACK", b"EXEC"]
    assert names(link.sent[-1]) == names(link.sent[0]) and len(done) == 1


async def test_a_refusal_for_good_is_raised_and_the_rest_is_done() -> None:
    def refuse(commands: list[tuple[Any, ...]]) -> list[Any]:
        return [WrongTypeError("dead") if name == b"XNACK" else 1 for name in names(commands)]

    link, done = Link(refuse), list[Settlement]()
    subject = settler(link, done)
    subject.submit(Settlement(Entry("1-0"), Outcome.NACK))
    subject.submit(Settlement(Entry("2-0"), Outcome.ACK))
    with pytest.raises(WrongTypeError):
        await subject.finish()
    assert [one.subject.id for one in done] == ["2-0"]


async def test_a_group_that_is_gone_has_nothing_to_settle() -> None:
    link, done = Link(lambda commands: [StreamConsumerGroupError("gone")] * len(commands)), list[Settlement]()
    subject = settler(link, done)
    subject.submit(Settlement(Entry("1-0"), Outcome.NACK))
    await subject.finish()
    assert len(done) == 1


async def test_what_somebody_else_has_is_not_given_back() -> None:
    link, done = Link(fine), list[Settlement]()
    subject = settler(link, done)
    subject.submit(Settlement(Entry("1-0", lost=True), Outcome.NACK))
    await subject.finish()
    assert link.sent == [] and len(done) == 1


async def test_an_acknowledgement_that_stands_alone_says_whether_the_entry_was_pending() -> None:
    link = Link(lambda commands: [1, 0])
    subject = settler(link)
    first = Settlement(Entry("1-0"), Outcome.ACK, single=True)
    second = Settlement(Entry("2-0"), Outcome.ACK, single=True)
    subject.submit(first)
    subject.submit(second)
    await subject.finish()
    assert first.held and not second.held


async def test_what_comes_during_a_round_trip_goes_into_the_next() -> None:
    link, done = Link(fine), list[Settlement]()
    subject = settler(link, done)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subject.run)
        waiting = [Settlement(Entry(f"{n}-0"), Outcome.ACK) for n in range(5)]
        for one in waiting:
            subject.submit(one)
            await checkpoint()
        for one in waiting:
            await one.wait()
        tasks.cancel_scope.cancel()
    assert len(done) == 5 and len(link.sent) < 5


async def test_a_cancelled_round_trip_is_sent_again_by_the_last_finish() -> None:
    async def never(commands: Any, *, limit: float = 5) -> list[Any]:
        await anyio.sleep_forever()
        raise AssertionError

    link, done = Link(fine), list[Settlement]()
    subject = settler(link, done)
    answer = link.execute
    link.execute = never  # type: ignore[method-assign]
    subject.submit(Settlement(Entry("1-0"), Outcome.ACK))
    with anyio.move_on_after(0.01):
        await subject.finish()
    assert len(subject) == 1 and not done
    link.execute = answer  # type: ignore[method-assign]
    await subject.finish()
    assert [names(sent) for sent in link.sent] == [[b"XACK"]] and len(done) == 1
