"""All readers on data that no library has written: damaged, huge, of other types, with names that are no text."""

import contextlib
import json
import pickle
from collections.abc import Sequence

import coredis
import pytest

from consumers.connecting import Command
from consumers.console.asking import ask
from consumers.console.queues.discovery import Discovery, libraries
from consumers.console.queues.library import JobRow, Library, Refused, Scope, State

Client = coredis.Redis[bytes]

NAMES = ["consumers", "celery", "rq", "dramatiq", "arq", "bullmq", "huey", "streaq", "taskiq"]

WRONG = [None, 1, -1, 1e300, "text", "\ud800", [], [[]], {}, {"a": None}, "9" * 5000, True]
FIELDS = [
    "id", "task", "headers", "properties", "body", "args", "kwargs", "options", "actor_name", "message_timestamp", "f",
    "a", "k", "t", "s", "r", "q", "et", "task_id", "task_name", "labels", "eta", "time", "status", "result",
]  # fmt: skip

DAMAGED = [
    b"", b"\xff\xfe\x00", b"{", b'{"a":', b"null", b"[]", b"[[], {}, 1]", b"[" * 5000, b"\x80\x04", b"\x80\x04.",
    pickle.dumps({"f": print, "a": (object(),), "k": {"x": b"\xff"}})[:-5], pickle.dumps(ValueError("\udcff")),
    pickle.dumps(("f", None, (1,), {})), pickle.dumps([1] * 1000), b"\xc1" * 50, b"x" * 1_500_000,
    json.dumps({"id": "x" * 100_000, "args": ["y" * 500_000]}).encode(),
    *(json.dumps(dict.fromkeys(FIELDS, one)).encode() for one in WRONG),
    *(pickle.dumps(dict.fromkeys(FIELDS, one)) for one in WRONG if one != "\ud800"),
]  # fmt: skip
"""Messages, jobs, results."""

TASK = {"task_id": "\ud800", "task_name": "x", "labels": {"_retries": []}, "args": [], "kwargs": {}}
NUMBERED = [b"%d" % n for n in range(len(DAMAGED))]
IDS = [*NUMBERED, b"\xff\xfe", b"", b"a b", b"a:b", b"x" * 1000]
"""Members of collections: IDs of the damaged jobs, and others."""

COLLECTIONS = {
    "consumers": [
        ("jobs:{Q}:normal", "stream"), ("jobs:{Q}:later", "zset"), ("jobs:{Q}:bodies", "hash"),
        ("jobs:{Q}:workers", "hash"), ("jobs:{Q}:dead", "stream"), ("jobs:{Q}:paused", "string"),
    ],
    "celery": [
        ("_kombu.binding.Q", "set"), ("celery", "list"), ("Q", "list"), ("Q\x06\x163", "list"), ("unacked", "hash"),
        ("unacked_index", "zset"),
    ],
    "rq": [
        ("rq:queues", "set"), ("rq:queue:Q", "list"), ("rq:wip:Q", "zset"), ("rq:scheduled:Q", "zset"),
        ("rq:deferred:Q", "zset"), ("rq:failed:Q", "zset"), ("rq:finished:Q", "zset"), ("rq:workers:Q", "set"),
        ("rq:rl-keys", "set"), ("rq:rl:a b:rate_limited", "zset"),
    ],
    "dramatiq": [
        ("dramatiq:Q", "list"), ("dramatiq:Q.msgs", "hash"), ("dramatiq:Q.DQ.msgs", "hash"), ("dramatiq:Q.XQ", "zset"),
        ("dramatiq:Q.XQ.msgs", "hash"), ("dramatiq:__heartbeats__", "zset"),
    ],
    "arq": [("arq:queue", "zset"), ("arq:Q", "zset"), ("arq:Q:health-check", "string")],
    "bullmq": [
        ("bull:Q:meta", "hash"), ("bull:Q:wait", "list"), ("bull:Q:active", "list"), ("bull:Q:paused", "list"),
        ("bull:Q:prioritized", "zset"), ("bull:Q:delayed", "zset"), ("bull:Q:failed", "zset"),
        ("bull:Q:completed", "zset"), ("bull:Q:waiting-children", "zset"), ("bull:Q:id", "string"),
    ],
    "huey": [("huey.redis.Q", "list"), ("huey.schedule.Q", "zset"), ("huey.results.Q", "hash")],
    "streaq": [
        ("streaq:Q:queues:normal", "stream"), ("streaq:Q:queues:delayed:normal", "zset"),
        ("streaq:Q:index:running", "set"), ("streaq:Q:index:results", "zset"), ("streaq:Q:aborted", "set"),
    ],
    "taskiq": [("Q", "stream"), ("Q mails", "list"), ("Q:time:2026-01-01T00:00", "list")],
}  # fmt: skip
"""The keys of a queue Q, by library, and what they are."""

JOBS = {
    "celery": "celery-task-meta-%s", "rq": "rq:job:%s", "arq": "arq:job:%s", "bullmq": "bull:Q:%s",
    "streaq": "streaq:Q:task:data:%s", "taskiq": "Q:data:%s",
}  # fmt: skip
RESULTS = {"rq": "rq:results:%s", "arq": "arq:result:%s", "streaq": "streaq:Q:task:results:%s", "taskiq": "%s"}
HASHES = ("rq", "bullmq")
FIELD_NAMES = [
    "data", "status", "enqueued_at", "timestamp", "stacktrace", "opts", "description", "retries_left", "atm",
]  # fmt: skip

REGISTERED: dict[str, list[Command]] = {
    "celery": [(b"SADD", "_kombu.binding.q", "q\x06\x16\x06\x16q"), (b"RPUSH", "celery", "{}")],
    "rq": [(b"SADD", "rq:queues", "rq:queue:q", b"rq:queue:q\xff")],
    "streaq": [
        (b"XGROUP", b"CREATE", "streaq:q:queues:normal", "workers", 0),
        (b"XREADGROUP", b"GROUP", "workers", "w", b"COUNT", 3, b"STREAMS", "streaq:q:queues:normal", b">"),
    ],
    "taskiq": [
        (b"XGROUP", b"CREATE", "q", "taskiq", 0),
        (b"XADD", "q", b"*", "data", json.dumps(TASK)),
        (b"XGROUP", b"CREATE", "q", b"\xff", 0),
        (b"XREADGROUP", b"GROUP", "taskiq", "w", b"COUNT", 99, b"STREAMS", "q", b">"),
        (b"XACK", "q", "taskiq", "0-1", *(f"{n}-1" for n in range(1, 60))),
        (b"XADD", "q", b"*", "data", json.dumps(TASK)),
    ],
    "bullmq": [
        (b"HSET", "bull:q:meta", "version", "x"),
        (b"HSET", b"bull:q\xff:meta", "version", "x"),
        (b"HSET", "bull:q:metrics:completed", "count", b"\xff"),
        (b"HSET", "bull:q:metrics:failed", "count", "9" * 5000),
    ],
}
"""What it takes that the queues are recognised."""


def filled(key: bytes, kind: str) -> list[Command]:
    """A collection with damaged data in it."""
    if kind == "string":
        return [(b"SET", key, DAMAGED[1])]
    if kind == "list":
        return [(b"RPUSH", key, *DAMAGED, *IDS, json.dumps(TASK))]
    if kind == "set":
        return [(b"SADD", key, *DAMAGED[:-1], *IDS)]
    if kind == "zset":
        scores = [-1, 0, 1e18, "inf", "-inf", 1.5]
        return [(b"ZADD", key, *(part for n, id in enumerate(IDS) for part in (scores[n % 6], id)))]
    if kind == "hash":
        return [(b"HSET", key, *(part for id, data in zip(IDS, DAMAGED, strict=False) for part in (id, data)))]
    entries = [(b"task_id", one, b"enqueue_time", b"\xff") for one in IDS] + [(b"data", one) for one in DAMAGED]
    entries += [
        (b"\xff", b"\xff"),
        (b"id", b"1", b"name", b"\xff", b"args", b"\xff"),
        (b"data", json.dumps(TASK).encode()),
    ]
    return [(b"XADD", key, f"{n}-1", *fields) for n, fields in enumerate(entries, 1)]


OTHER_TYPES = {"string": "list", "list": "zset", "zset": "hash", "hash": "stream", "stream": "set", "set": "string"}


def collections(name: str, queue: bytes, other: bool) -> list[Command]:
    """The collections of a library's queue, or in their places keys of another type."""
    return [
        command
        for key, kind in COLLECTIONS[name]
        for command in filled(key.encode().replace(b"Q", queue), OTHER_TYPES[kind] if other else kind)
    ]


def stored(name: str) -> list[Command]:
    """Damaged jobs and results."""
    commands: list[Command] = []
    for pattern in (one[name] for one in (JOBS, RESULTS) if name in one):
        for number, data in zip(NUMBERED, DAMAGED, strict=True):
            key = pattern.encode().replace(b"Q", b"q") % number
            if name in HASHES and pattern == JOBS[name]:
                commands.append((b"HSET", key, *(part for field in FIELD_NAMES for part in (field, data))))
            elif pattern == "rq:results:%s":
                commands.append((b"XADD", key, b"*", b"return_value", data, b"exc_string", data))
            else:
                commands.append((b"SET", key, data))
    return commands


async def rows_of(library: Library, client: Client, queue: str) -> list[JobRow]:
    """Rows of each state, from small pages and a large one."""
    found: list[JobRow] = []
    for state in library.states:
        after, pages = None, 0
        while pages == 0 or (after is not None and pages < 60):
            rows, after = await library.jobs(client, queue, state, after, 3 if pages < 3 else 50)
            found += rows
            pages += 1
    return found


async def acted(library: Library, client: Client, queue: str, rows: Sequence[JobRow]) -> None:
    """Do all that can be done, which may be refused."""
    for scope in (Scope.JOB, Scope.STATE, Scope.QUEUE):
        for action in (one for one in library.actions if one.scope is scope):
            for state in action.states or (None,):
                ids: list[tuple[str, str]] = [("", "")]
                if scope is Scope.JOB:
                    ids = [(row.id, row.place) for row in rows if row.state is state and row.id][::7]
                for id, place in ids:
                    with contextlib.suppress(Refused):
                        await library.act(client, queue, action.name, state=state, id=id, place=place)


async def looked_at(client: Client, name: str) -> tuple[Library, list[str]]:
    found = Discovery([one for one in libraries() if one.name == name])
    await found.look_at_all(client)
    return found.libraries[name], [queue for _, queue in found.queues]


@pytest.mark.spread
@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("name", NAMES)
async def test_nothing_fails(client: Client, name: str, other: bool) -> None:
    commands = [*stored(name), *collections(name, b"q", other), *collections(name, b"q\xff", other)]
    if not other:
        commands += REGISTERED.get(name, [])
    # some keys are the same for both queues
    replies = await ask(client, list(dict.fromkeys(commands)))
    assert not [one for one in replies if isinstance(one, Exception)]
    library, queues = await looked_at(client, name)
    assert other or queues
    chosen = [queue for queue in queues if queue in ("q", "Q", "arq:q", "q mails", "celery")] or queues
    for queue in [*chosen, *(one for one in queues if "\udcff" in one or "|" in one)]:
        (figures,) = await library.figures(client, [queue])
        assert figures.waiting >= 0
        rows = await rows_of(library, client, queue)
        for row in rows[::5]:
            assert len(row.summary) < 5000
            await library.job(client, queue, row.id, row.place)
        with contextlib.suppress(Refused):
            assert await library.job(client, queue, "no such job") is None
        await acted(library, client, queue, rows)


async def test_names_and_ids_that_are_no_text(client: Client) -> None:
    await client.sadd("rq:queues", {b"rq:queue:q\xff"})
    await client.rpush(b"rq:queue:q\xff", [b"\xfe", b"a"])
    await client.zadd("arq:queue", {b"\xff": 1, b"b": 2})
    for name, queue, state in (("rq", "q\udcff", State.WAITING), ("arq", "arq:queue", State.WAITING)):
        library, queues = await looked_at(client, name)
        assert queues == [queue]
        (figures,) = await library.figures(client, queues)
        rows, _ = await library.jobs(client, queue, state, None, 10)
        assert figures.waiting == 2 and len(rows) == 2
        assert await library.act(client, queue, "purge", state=state) == "2 jobs were deleted."
    assert not await client.exists([b"rq:queue:q\xff", b"arq:queue"])
