"""Finding the queues of a server, a bounded number of keys at a time."""

import json
from collections.abc import Sequence

import coredis
import pytest
import trio
from trio.testing import MockClock

from consumers.connecting import Client as AnyClient
from consumers.console.queues import discovery
from consumers.console.queues.discovery import Discovery
from consumers.console.queues.huey import Huey
from consumers.console.queues.library import Figures, State
from consumers.console.queues.taskiq import Taskiq
from tests.consumers.clusters import started_cluster, two_nodes

Client = coredis.Redis[bytes]


async def all_libraries(client: "coredis.Redis[bytes] | coredis.RedisCluster[bytes]") -> None:
    """Keys as the libraries have them, one queue each; the libraries themselves are in tests/clients."""
    await client.xadd("jobs:{own}:normal", {"n": "1"})
    await client.sadd("_kombu.binding.reports", {"reports\x06\x16\x06\x16reports"})
    await client.sadd("_kombu.binding.celery.pidbox", {"\x06\x16\x06\x16celery@host.celery.pidbox"})
    await client.sadd("rq:queues", {"rq:queue:default", "elsewhere"})
    await client.rpush("rq:queue:default", ["id"])
    await client.hset("dramatiq:mail.msgs", {"id": json.dumps({"actor_name": "send"})})
    await client.zadd("dramatiq:__heartbeats__", {"worker": 1})
    await client.zadd("arq:queue", {"id": 1})
    await client.hset("bull:video:meta", {"opts.maxLenEvents": "10000"})
    await client.rpush("huey.redis.small", ["x"])
    await client.xadd("streaq:letters:queues:normal", {"task_id": "1"})
    message = {"task_id": "1", "task_name": "mails:send", "labels": {}, "args": [], "kwargs": {}}
    await client.rpush("mails", [json.dumps(message)])


EXPECTED = [
    ("consumers", "own"), ("celery", "reports"), ("rq", "default"), ("dramatiq", "mail"), ("arq", "arq:queue"),
    ("bullmq", "video"), ("huey", "small"), ("streaq", "letters"), ("taskiq", "mails"),
]  # fmt: skip

ALIKE = (
    "mail.msgs", "a:b.msgs", "x:y:meta", "queues", "a:queues", "arq:job:1", "arq:queue:health-check", "huey.x.y",
    "streaq:a:queues:b", "streaq:a:index:results",
)  # fmt: skip


async def test_queues_of_all_libraries(client: Client) -> None:
    await all_libraries(client)
    for name in ALIKE:
        await client.set(name, "no queue")
    found = Discovery()
    await found.look_at_all(client)
    assert found.queues == EXPECTED and found.laps == 1
    figures = {(one.library, one.name): one.waiting for one in await found.figures(client)}
    assert set(figures) == set(EXPECTED)
    assert [figures[one] for one in EXPECTED] == [1, 0, 1, 0, 1, 0, 1, 1, 1]
    (one,) = await found.figures(client, [("rq", "default")])
    assert one.name == "default"


async def test_a_look_is_bounded_and_the_next_one_goes_on(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "SLICE", 10)
    await client.mset({f"other {n}": "" for n in range(200)})
    await client.rpush("huey.redis.small", ["x"])
    shown: list[int] = []

    class Counting(Huey):
        async def find(self, client: AnyClient, keys: Sequence[bytes]) -> set[str]:
            shown.append(len(keys))
            return await super().find(client, keys)

    found = Discovery([Counting()])
    looks = 0
    while found.laps == 0:
        await found.look(client, 2)
        looks += 1
    assert looks > 3 and sum(shown) >= 201 and max(shown) < 100
    assert found.queues == [("huey", "small")]


async def test_figures_cost_no_error_replies(client: Client) -> None:
    """Whoever watches the server's errors is not to see the console's questions there."""
    await all_libraries(client)
    await client.zadd("huey.redis.large", {"x": 1})
    found = Discovery()
    await found.look_at_all(client)
    counts = []
    for library in found.libraries.values():
        before = await client.info("stats")
        await found.figures(client, [one for one in found.queues if one[0] == library.name])
        after = await client.info("stats")
        counts.append((library.name, after["total_error_replies"] - before["total_error_replies"]))
    assert [one for one in counts if one[1]] == []


async def test_figures_of_many_queues_are_asked_for_in_parts(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        await client.rpush(f"huey.redis.q{number}", ["x"] * (number + 1))
    found, parts = Discovery([Huey()]), list[list[str]]()
    await found.look_at_all(client)
    figures = Huey.figures

    async def asked(self: Huey, client: AnyClient, queues: Sequence[str]) -> list[Figures]:
        parts.append(list(queues))
        return await figures(self, client, queues)

    monkeypatch.setattr(Huey, "figures", asked)
    monkeypatch.setattr(discovery, "AT_ONCE", 2)
    assert [one.waiting for one in await found.figures(client)] == [1, 2, 3, 4, 5]
    assert parts == [["q0", "q1"], ["q2", "q3"], ["q4"]]


async def test_a_reader_of_some_types_is_shown_these_only(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "SLICE", 10)
    await client.mset({f"other {n}": "" for n in range(50)})
    for n in range(20):
        await client.rpush(f"list {n}", ["x"])
    await client.xadd("stream", {"a": "b"})
    shown: list[Sequence[bytes]] = []

    class Watching(Taskiq):
        async def find(self, client: AnyClient, keys: Sequence[bytes]) -> set[str]:
            shown.append(keys)
            return set()

    await Discovery([Watching(), Huey()]).look_at_all(client)
    # once for what the library registers
    assert shown.count([]) == 1
    assert {key for keys in shown for key in keys} == {b"stream", *(b"list %d" % n for n in range(20))}


async def test_an_empty_queue_is_remembered_for_a_while(client: Client, mock_clock: MockClock) -> None:
    await client.rpush("huey.redis.small", ["x"])
    found = Discovery()
    await found.look_at_all(client)
    await client.delete(["huey.redis.small"])
    await found.look_at_all(client)
    assert found.queues == [("huey", "small")]
    (figures,) = await found.figures(client)
    assert figures.waiting == 0
    mock_clock.jump(discovery.REMEMBERED_SECONDS + 1)
    await trio.lowlevel.checkpoint()
    await found.look_at_all(client)
    assert found.queues == []


async def test_many_queues_are_remembered_up_to_a_limit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "MOST", 5)
    for n in range(9):
        await client.rpush(f"huey.redis.q{n}", ["x"])
    found = Discovery()
    await found.look_at_all(client)
    assert len(found.queues) == 5


async def test_a_cluster() -> None:
    with two_nodes() as nodes:
        async with started_cluster(nodes) as cluster:
            await all_libraries(cluster)
            found = Discovery()
            await found.look_at_all(cluster)
            assert found.queues == EXPECTED
            assert sum(one.waiting for one in await found.figures(cluster)) == 6
            huey = found.libraries["huey"]
            assert await huey.act(cluster, "small", "purge", state=State.WAITING) == "1 job was deleted."
