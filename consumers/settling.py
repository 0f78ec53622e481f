"""Settles entries that were handled: acknowledges, gives back, or dead-letters them, many in one round trip.

One task sends. Decisions made while a round trip is in progress go into the next one, so batches grow with the load and
nothing waits for a timer. XACK of a stream's entries is one command; giving back is one command per entry;
dead-lettering is one MULTI/EXEC, and so are all acknowledgements that carry additional commands, and each one of an
entry whose caller waits for an answer.

After a lost connection it is unknown what the server has executed. Then everything is sent again, which for XACK is
harmless; the rest is sent only for entries that are still pending for this consumer.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import anyio
from coredis.exceptions import RedisError

from consumers.connection import Command, Reply, outcome
from consumers.deadletters import dead_letter_command, reason_text
from consumers.doorbell import Doorbell
from consumers.errors import transient
from consumers.groups import Group, is_missing
from consumers.owners import Phase
from consumers.replies import DEAD, NONE, VALUE, reply_command
from consumers.retry import Backoff, persist

__all__ = ["Outcome", "Settlement", "Settler"]


class Outcome(Enum):
    """The outcome of an entry, or of an element of a list."""

    ACK = auto()
    NACK = auto()
    DEAD_LETTER = auto()


class Subject(Protocol):
    """The part of an entry in hand that settling needs."""

    stream: str
    id: str
    values: list[bytes]
    delivery_count: int
    doubtful: int
    phase: Phase
    lost: bool
    caller: bytes | None


@dataclass(slots=True, eq=False)
class Settlement:
    """A decision about one entry.

    delay, used: for NACK, see Group.nack. kept: it stays pending under this consumer's name instead. reason: for
    DEAD_LETTER. commands: for ACK, executed in one MULTI/EXEC with the XACK. delete: also delete the entry
    from its stream there. single: send an XACK for this entry alone, so that `held` tells whether the entry was still
    pending. answer: for ACK, the answer to the entry's caller; `answered` tells whether that waited.
    """

    subject: Subject
    outcome: Outcome
    delay: float = 0.0
    used: bool = True
    kept: bool = False
    reason: str = ""
    commands: Sequence[Command] = ()
    delete: bool = False
    single: bool = False
    held: bool = True
    answer: bytes | None = None
    answered: bool = False
    confirmed: bool = False
    _waiting: anyio.Event | None = None

    async def wait(self) -> None:
        """Wait until the server has confirmed it."""
        if not self.confirmed:
            # created only when needed: most settlements have no waiting task
            self._waiting = self._waiting or anyio.Event()
            await self._waiting.wait()

    def confirm(self) -> None:
        """Note that the server has confirmed it."""
        self.confirmed = True
        if self._waiting is not None:
            self._waiting.set()


class Settler:
    """Carries out settlements. `settled` is called for each one that the server has confirmed."""

    def __init__(
        self,
        group: Group,
        settled: Callable[[Settlement], None],
        *,
        dead_letter: str | None,
        dead_maxlen: int | None,
        reconnect: Backoff,
    ) -> None:
        self._group = group
        self._settled = settled
        self._dead_letter = dead_letter
        self._dead_maxlen = dead_maxlen
        self._reconnect = reconnect
        self._queue: list[Settlement] = []
        self._unsure: list[Settlement] = []
        self._wanted = Doorbell()

    def __len__(self) -> int:
        return len(self._queue) + len(self._unsure)

    def submit(self, settlement: Settlement) -> None:
        """Submit a decision. The task in run() carries it out soon, or finish() does."""
        self._queue.append(settlement)
        self._wanted.ring()

    async def run(self) -> None:
        """Carry out submitted settlements, forever. Raises the server's permanent refusals."""
        while True:
            await self._wanted.wait()
            await self.finish()

    async def finish(self) -> None:
        """Carry out everything that was submitted, waiting for the server if it is away."""
        while self._queue or self._unsure:
            await persist(self._send, self._reconnect)

    async def _send(self) -> None:
        """Make one round trip. Raises the server's refusal; settlements to retry are then in `_unsure`."""
        if any(
            settlement.outcome is not Outcome.ACK or settlement.answer is not None
            for settlement in itertools.chain(self._unsure, self._queue)
        ):
            await self._group.query_for_settling()
        batch, uncertain = self._unsure + self._queue, bool(self._unsure)
        self._unsure, self._queue = batch, []
        if uncertain:
            batch = await self._still_ours(batch)
        commands: list[Command] = []
        parts: list[tuple[list[Settlement], int]] = []
        acknowledged: dict[str, list[Settlement]] = {}
        together: list[Settlement] = []
        for settlement in batch:
            subject = settlement.subject
            plain = settlement.outcome is Outcome.ACK and subject.caller is None and settlement.answer is None
            if plain and (settlement.commands or settlement.delete):
                together.append(settlement)
            elif plain and not settlement.single:
                acknowledged.setdefault(subject.stream, []).append(settlement)
            elif subject.lost and settlement.outcome is Outcome.NACK:
                self._confirm(settlement)
            else:
                before = len(commands)
                commands += self._commands(settlement)
                parts.append(([settlement], len(commands) - before))
        if together:
            before = len(commands)
            commands += self._transaction(together)
            parts.append((together, len(commands) - before))
        for stream, settlements in acknowledged.items():
            commands.append(self._group.ack(stream, [one.subject.id for one in settlements]))
            parts.append((settlements, 1))
        replies = await self._group.link.execute(commands) if commands else []
        self._apply(parts, replies)

    def _commands(self, settlement: Settlement) -> list[Command]:
        subject = settlement.subject
        if settlement.outcome is Outcome.NACK:
            stream, id, count = subject.stream, subject.id, subject.delivery_count
            if subject.phase is not Phase.CLEAN and not settlement.used:
                return [self._group.shelve(stream, id, count, subject.phase)]
            # it has failed on its own account: crashes it shared with others no longer count
            if settlement.kept:
                return [self._group.keep(stream, id, count - subject.doubtful)]
            return [self._group.nack(stream, id, count - subject.doubtful, settlement.delay, settlement.used)]
        if settlement.outcome is Outcome.ACK:
            return _atomic([*self._acknowledgement(settlement), *settlement.commands])
        if self._dead_letter is None:
            return _atomic(self._acknowledgement(settlement))
        dead_letter = dead_letter_command(
            self._dead_letter,
            origin=(subject.stream, subject.id, self._group.group, self._group.consumer),
            values=subject.values,
            reason=settlement.reason,
            deliveries=subject.delivery_count,
            maxlen=self._dead_maxlen,
        )
        return _atomic([dead_letter, *self._acknowledgement(settlement)])

    def _acknowledgement(self, settlement: Settlement) -> list[Command]:
        """The commands that acknowledge one entry and tell its caller what has become of it; the last one tells."""
        subject, group = settlement.subject, self._group
        dead = settlement.outcome is Outcome.DEAD_LETTER
        value = reason_text(settlement.reason) if dead else settlement.answer
        ack = group.ack(subject.stream, [subject.id])
        if subject.caller is not None:
            kind = DEAD if dead else NONE if value is None else VALUE
            return [ack, reply_command(subject.stream, subject.caller, kind, value or b"")]
        if value is not None and group.answers_calls:
            return [group.answer(subject.stream, subject.id, value, dead=dead)]
        return [ack]

    def _transaction(self, settlements: list[Settlement]) -> list[Command]:
        """One transaction for all acknowledgements with commands: per job it costs a third of a separate one."""
        acknowledged: dict[str, list[str]] = {}
        deleted: dict[str, list[str]] = {}
        commands: list[Command] = []
        for settlement in settlements:
            stream, id = settlement.subject.stream, settlement.subject.id
            acknowledged.setdefault(stream, []).append(id)
            if settlement.delete:
                deleted.setdefault(stream, []).append(id)
            commands += settlement.commands
        first: list[Command] = [(b"MULTI",)]
        first += [self._group.ack(stream, ids) for stream, ids in acknowledged.items()]
        first += [(b"XDEL", stream, *ids) for stream, ids in deleted.items()]
        return [*first, *commands, (b"EXEC",)]

    async def _still_ours(self, batch: list[Settlement]) -> list[Settlement]:
        """Drop settlements that an attempt with a lost reply has carried out, or whose entry another consumer has."""
        doubtful = [one for one in batch if one.outcome is not Outcome.ACK or one.commands]
        questions = [
            question
            for one in doubtful
            for question in self._group.owned(one.subject.stream, [one.subject.id], one.subject.phase)
        ]
        gone: set[Settlement] = set()
        if questions:
            for one, reply in zip(doubtful, await self._group.link.execute(questions), strict=True):
                if isinstance(reply, RedisError) and not is_missing(reply):
                    raise reply
                if isinstance(reply, RedisError) or not reply:
                    gone.add(one)
                    self._confirm(one)
        return [one for one in batch if one not in gone]

    def _apply(self, parts: list[tuple[list[Settlement], int]], replies: list[Reply]) -> None:
        remaining: list[Settlement] = []
        refusal: RedisError | None = None
        place = 0
        for settlements, length in parts:
            error = _error_in(replies[place : place + length])
            if error is None or is_missing(error):
                for one in settlements:
                    if one.single or one.answer is not None:
                        self._note_results(one, replies[place : place + length])
                    self._confirm(one)
            else:
                remaining += settlements
                if refusal is None or not transient(error):
                    refusal = error
            place += length
        self._unsure = remaining
        if refusal is not None:
            raise refusal

    def _note_results(self, settlement: Settlement, replies: Sequence[Reply]) -> None:
        """Note what the acknowledgement of one entry has found."""
        if isinstance(replies[-1], RedisError):
            settlement.held = False
            return
        results = outcome(replies) if len(replies) > 1 else replies
        settlement.held = not settlement.single or results[0] == 1
        if settlement.answer is not None and (settlement.subject.caller is not None or self._group.answers_calls):
            told = results[len(self._acknowledgement(settlement)) - 1]
            settlement.answered = isinstance(told, bytes) or told == 1

    def _confirm(self, settlement: Settlement) -> None:
        settlement.confirm()
        self._settled(settlement)


def _atomic(commands: list[Command]) -> list[Command]:
    return commands if len(commands) == 1 else [(b"MULTI",), *commands, (b"EXEC",)]


def _error_in(replies: Sequence[Reply]) -> RedisError | None:
    """The first error among the replies of one settlement, including those inside a transaction."""
    if len(replies) > 1:
        try:
            replies = outcome(replies)
        except RedisError as error:
            return error
    return next((reply for reply in replies if isinstance(reply, RedisError)), None)
