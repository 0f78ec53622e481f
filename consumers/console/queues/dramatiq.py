"""Dramatiq's Redis broker: a list of message IDs and a hash of messages for each queue, its delays, its dead letters.

NAMESPACE:QUEUE            a list: IDs of waiting messages, the next one first; QUEUE.DQ: of delayed ones
NAMESPACE:QUEUE.msgs       a hash: messages that wait or that a worker has (JSON, by default); QUEUE.DQ.msgs likewise
NAMESPACE:QUEUE.XQ         a sorted set: IDs of dead messages by the time of their death, in milliseconds
NAMESPACE:QUEUE.XQ.msgs    a hash: dead messages
NAMESPACE:__acks__.WORKER.QUEUE   a set: IDs of messages that this worker has fetched
NAMESPACE:__heartbeats__   a sorted set: workers and producers by the time at which they last used the broker

The namespace is "dramatiq" unless another one was chosen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from consumers.connecting import Client, Command
from consumers.console.asking import ask, integer, known, text, transaction
from consumers.console.queues.library import (
    Action,
    Figures,
    JobDetails,
    JobRow,
    Refused,
    Scope,
    State,
    check,
    jobs_text,
    number_in,
)  # fmt: skip
from consumers.console.queues.naming import joined, parted
from consumers.console.queues.paging import position
from consumers.console.values import DATA_LIMIT, call, decoded, shown, view
from consumers.jobs.clock import Clock, wall_clock
from consumers.transactions import Ask

__all__ = ["Dramatiq"]

NAMESPACE = "dramatiq"
PAGE = 200
"""Messages that one transaction removes."""

SMALL = 64 << 10
"""Bytes of a message that is read in a list; of a larger one only the ID is shown."""

_QUEUE = re.compile(rb"(.+):([A-Za-z_][A-Za-z0-9._-]*?)(?:\.DQ|\.XQ)?\.msgs")


class _Keys:
    """The keys of one queue."""

    def __init__(self, queue: str) -> None:
        self.namespace, self.name = parted(queue, NAMESPACE)
        self.queue = f"{self.namespace}:{self.name}"
        self.messages = f"{self.queue}.msgs"
        self.delayed = f"{self.queue}.DQ"
        self.delayed_messages = f"{self.queue}.DQ.msgs"
        self.dead = f"{self.queue}.XQ"
        self.dead_messages = f"{self.queue}.XQ.msgs"

    def hash(self, state: State) -> str:
        return {State.DELAYED: self.delayed_messages, State.DEAD: self.dead_messages}.get(state, self.messages)


class Dramatiq:
    """The reader."""

    name = "dramatiq"
    title = "Dramatiq"
    states: ClassVar[tuple[State, ...]] = (State.WAITING, State.RUNNING, State.DELAYED, State.DEAD)
    actions: ClassVar[tuple[Action, ...]] = (
        Action("redrive", Scope.STATE, (State.DEAD,)),
        Action("purge", Scope.STATE, (State.WAITING, State.DEAD)),
        Action("redrive", Scope.JOB, (State.DEAD,)),
        Action("delete", Scope.JOB, (State.WAITING, State.DEAD)),
    )
    streams = None
    types = ()
    unseen = (
        "Running includes messages that a worker has fetched in advance. Workers aren't counted: producers leave the "
        "same traces."
    )

    def __init__(self, clock: Clock = wall_clock) -> None:
        self._clock = clock

    async def find(self, client: Client, keys: Sequence[bytes]) -> set[str]:
        found: set[str] = set()
        for key in keys:
            if (match := _QUEUE.fullmatch(key)) is not None:
                found.add(joined(text(match[1]), text(match[2]), NAMESPACE))
        return await self._real(client, sorted(found))

    @staticmethod
    async def _real(client: Client, queues: Sequence[str]) -> set[str]:
        """Those whose namespace has a broker: other programs have keys that end in .msgs, too."""
        namespaces = sorted({parted(queue, NAMESPACE)[0] for queue in queues})
        replies = await ask(client, [(b"EXISTS", f"{one}:__heartbeats__") for one in namespaces])
        real = {one for one, reply in zip(namespaces, replies, strict=True) if integer(reply)}
        return {queue for queue in queues if parted(queue, NAMESPACE)[0] in real}

    # Figures.

    async def figures(self, client: Client, queues: Sequence[str]) -> list[Figures]:
        every = [_Keys(queue) for queue in queues]
        asked: list[Command] = []
        for keys in every:
            asked += [
                (b"LLEN", keys.queue), (b"HLEN", keys.messages), (b"HLEN", keys.delayed_messages),
                (b"ZCARD", keys.dead), (b"LINDEX", keys.queue, 0),
            ]  # fmt: skip
        replies = iter(await ask(client, asked))
        rows = [([integer(next(replies)) for _ in range(4)], known(next(replies))) for _ in every]
        first = [(index, every[index].messages, id) for index, (_, id) in enumerate(rows) if id is not None]
        messages = await _small(client, [(key, text(id)) for _, key, id in first])
        oldest: dict[int, float] = {}
        for (index, _, _), data in zip(first, messages, strict=True):
            if (sent := number_in(_fields(data).get("message_timestamp"))) is not None:
                oldest[index] = max(0.0, self._clock() - sent / 1000)
        return [
            Figures(
                library=self.name, name=queue, waiting=waiting, running=max(0, stored - waiting), delayed=delayed,
                dead=dead, oldest=oldest.get(index),
            )
            for index, (queue, ((waiting, stored, delayed, dead), _)) in enumerate(zip(queues, rows, strict=True))
        ]  # fmt: skip

    # Jobs.

    async def jobs(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        keys = _Keys(queue)
        if state in (State.RUNNING, State.DELAYED):
            # these are in no order, and in no list if a worker has fetched them
            return await self._in_hash(client, keys, state, after, limit)
        _, start = position(after)
        stop = start + limit - 1
        command: Command = (b"LRANGE", keys.queue, start, stop)
        if state is State.DEAD:
            command = (b"ZRANGE", keys.dead, start, stop)
        elif state is not State.WAITING:
            return [], None
        (reply,) = await ask(client, [command])
        ids = [text(id) for id in known(reply) or ()]
        messages = await _small(client, [(keys.hash(state), id) for id in ids])
        rows = [_row(id, state, data) for id, data in zip(ids, messages, strict=True)]
        return rows, f"0:{start + limit}" if len(ids) == limit else None

    async def _in_hash(
        self, client: Client, keys: _Keys, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        (reply,) = await ask(client, [(b"HSCAN", keys.hash(state), after or "0", b"COUNT", limit)])
        if not (found := known(reply)):
            return [], None
        cursor, pairs = text(found[0]), found[1]
        stored = dict(zip(map(text, pairs[::2]), pairs[1::2], strict=True))
        if state is State.RUNNING:
            replies = await ask(client, [(b"LPOS", keys.queue, id, b"MAXLEN", PAGE * 50) for id in stored])
            stored = {
                id: data for (id, data), reply in zip(stored.items(), replies, strict=True) if known(reply) is None
            }
        return [_row(id, state, data) for id, data in stored.items()], None if cursor == "0" else cursor

    async def job(self, client: Client, queue: str, id: str, place: str = "") -> JobDetails | None:
        keys = _Keys(queue)
        hashes = (
            (State.RUNNING, keys.messages),
            (State.DELAYED, keys.delayed_messages),
            (State.DEAD, keys.dead_messages),
        )
        lengths = await ask(client, [(b"HSTRLEN", key, id) for _, key in hashes])
        for (state, key), length in zip(hashes, lengths, strict=True):
            if not (size := integer(length)):
                continue
            if size > DATA_LIMIT:
                return JobDetails(row=JobRow(id=id, state=state, summary=f"a message of {size} bytes"))
            data, waits = await ask(client, [(b"HGET", key, id), (b"LPOS", keys.queue, id, b"MAXLEN", PAGE * 50)])
            if known(data) is None:
                return None
            if state is State.RUNNING and known(waits) is not None:
                state = State.WAITING
            return _details(id, state, data)
        return None

    # Actions.

    async def act(
        self, client: Client, queue: str, action: str, *, state: State | None = None, id: str = "", place: str = ""
    ) -> str:
        chosen = check(self, action, state, id)
        keys = _Keys(queue)
        if chosen.name == "redrive":
            if not id:
                return jobs_text(await self._redrive_all(client, keys), "returned to the queue")
            if not await self._redrive(client, keys, id):
                raise Refused(f"there is no dead message {id} any more")
            return f"The job {id} was returned to the queue, with all its retries."
        if id:
            await self._delete(client, keys, id)
            return f"The job {id} was deleted."
        assert state is not None
        return jobs_text(await self._purge(client, keys, state), "deleted")

    async def _redrive_all(self, client: Client, keys: _Keys) -> int:
        (count,) = await ask(client, [(b"ZCARD", keys.dead)])
        done = 0
        while done < integer(count):
            (page,) = await ask(client, [(b"ZRANGE", keys.dead, 0, PAGE - 1)])
            ids = known(page) or []
            moved = sum([await self._redrive(client, keys, text(id)) for id in ids])
            if not moved:
                break
            done += moved
        return done

    async def _redrive(self, client: Client, keys: _Keys, id: str) -> bool:
        async def decide(query: Ask) -> tuple[list[Command], bool]:
            score, data = await query([(b"ZSCORE", keys.dead, id), (b"HGET", keys.dead_messages, id)])
            if score is None or data is None:
                return [], False
            return [
                (b"ZREM", keys.dead, id), (b"HDEL", keys.dead_messages, id),
                (b"HSET", keys.messages, id, _refreshed(data)), (b"RPUSH", keys.queue, id),
            ], True  # fmt: skip

        return await transaction(client, [keys.dead, keys.dead_messages], decide)

    async def _delete(self, client: Client, keys: _Keys, id: str) -> None:
        async def decide(query: Ask) -> tuple[list[Command], bool]:
            score, place = await query([(b"ZSCORE", keys.dead, id), (b"LPOS", keys.queue, id)])
            if score is not None:
                return [(b"ZREM", keys.dead, id), (b"HDEL", keys.dead_messages, id)], True
            if place is not None:
                return [(b"LREM", keys.queue, 1, id), (b"HDEL", keys.messages, id)], True
            return [], False

        if not await transaction(client, [keys.queue, keys.dead], decide):
            raise Refused(f"the message {id} is gone, or a worker has it")

    async def _purge(self, client: Client, keys: _Keys, state: State) -> int:
        """Remove all messages: not those that are added meanwhile, nor those that a worker has fetched."""
        waiting = state is State.WAITING
        key = keys.queue if waiting else keys.dead
        (count,) = await ask(client, [(b"LLEN" if waiting else b"ZCARD", key)])
        done = 0

        async def decide(query: Ask) -> tuple[list[Command], int]:
            (ids,) = await query([(b"LRANGE" if waiting else b"ZRANGE", key, 0, PAGE - 1)])
            if not ids:
                return [], 0
            leave: Command = (b"LTRIM", key, len(ids), -1) if waiting else (b"ZREM", key, *ids)
            return [leave, (b"HDEL", keys.hash(state), *ids)], len(ids)

        while done < integer(count) and (removed := await transaction(client, [key], decide)):
            done += removed
        return done


async def _small(client: Client, places: Sequence[tuple[str, str]]) -> list[bytes | None]:
    """The messages in fields of hashes; None for those that are gone, or not small."""
    lengths = [integer(reply) for reply in await ask(client, [(b"HSTRLEN", key, id) for key, id in places])]
    wanted = [place for place, length in zip(places, lengths, strict=True) if 0 < length <= SMALL]
    found = dict(zip(wanted, await ask(client, [(b"HGET", *place) for place in wanted]), strict=True))
    return [known(found.get(place)) for place in places]


def _fields(data: bytes | None) -> dict[str, Any]:
    if data is None:
        return {}
    _, value = decoded(data)
    return value if isinstance(value, dict) else {}


def _row(id: str, state: State, data: bytes | None) -> JobRow:
    fields = _fields(data)
    options = fields.get("options")
    options = options if isinstance(options, dict) else {}
    sent, due = number_in(fields.get("message_timestamp")), number_in(options.get("eta"))
    retries = number_in(options.get("retries"))
    actor = fields.get("actor_name")
    return JobRow(
        id=id,
        state=state,
        function=actor if isinstance(actor, str) else None,
        enqueued=None if sent is None else sent / 1000,
        due=None if due is None else due / 1000,
        attempts=None if retries is None else int(retries),
        summary=call(actor, fields.get("args"), fields.get("kwargs")) if isinstance(actor, str) else "a message",
    )


def _details(id: str, state: State, data: bytes) -> JobDetails:
    kind, value = decoded(data)
    fields = value if isinstance(value, dict) else {}
    options = fields.get("options")
    error = options.get("traceback") if isinstance(options, dict) else None
    return JobDetails(
        row=_row(id, state, data),
        arguments=shown({"args": fields.get("args"), "kwargs": fields.get("kwargs")}, kind) if fields else None,
        error=error if isinstance(error, str) else None,
        raw=(("message", view(data)),),
    )


def _refreshed(data: bytes) -> bytes:
    """A dead message as one that has not been tried. One that is not JSON stays as it is: it gets one more attempt."""
    try:
        fields = json.loads(data)
        options = fields["options"]
        for name in ("retries", "traceback", "requeue_timestamp", "eta"):
            options.pop(name, None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return data
    return json.dumps(fields, separators=(",", ":")).encode()
