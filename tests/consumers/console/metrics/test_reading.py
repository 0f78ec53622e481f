"""What one reading has, and why something is missing from it."""

import re
from dataclasses import replace
from pathlib import Path

import coredis
import pytest
from coredis.exceptions import AuthorizationError

from consumers.addresses import with_credentials
from consumers.console.asking import ask
from consumers.console.metrics.catalogue import series
from consumers.console.metrics.reading import read
from consumers.jobs import Queue
from tests.consumers.console.consoles import open_console

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


async def test_a_reading_has_all_that_is_measured(client: Client, server_url: str) -> None:
    await client.xadd("orders", {"a": "b"})
    await client.rpush("rq:queue:mail", ["1", "2"])
    await client.sadd("rq:queues", ["rq:queue:mail"])
    async with open_console(server_url) as app:
        reading = await read(app.state.console.viewpoint, 20)
    assert reading.up and reading.about is not None and not reading.trouble
    assert int(reading.found["total_commands_processed"]) > 0 and reading.found["db0"].startswith("keys=3")
    assert [one.name for one in reading.streams or ()] == [b"orders"]
    assert [(one.name, one.waiting) for one in reading.queues or ()] == [("mail", 2)]


RULES = re.search(r"`(\+@read [^`]*)`", (Path(__file__).parents[4] / "docs/observing.md").read_text())


async def test_the_permissions_of_the_documentation_are_enough(client: Client, server_url: str) -> None:
    queue = Queue("thumbs")

    @queue.job()
    async def resize() -> None: ...

    async with queue.open(server_url):
        await resize.enqueue()
        await resize.enqueue(delay=60)
    await client.xgroup_create("orders", "billing", "0", mkstream=True)
    await client.xadd("orders", {"a": "b"})
    await client.xreadgroup("billing", "worker", {"orders": ">"})
    await client.sadd("rq:queues", ["rq:queue:mail"])
    await client.rpush("rq:queue:mail", ["1"])
    await client.zadd("arq:queue", {"1": 1.0})
    await client.hset("bull:video:meta", {"opts.maxLenEvents": "10000"})
    await client.rpush("bull:video:wait", ["1"])
    assert RULES is not None
    await ask(client, [(b"ACL", b"SETUSER", b"metrics", b"on", b">secret", b"+info", *RULES[1].encode().split())])
    try:
        readings = []
        for url in (server_url, with_credentials(server_url, "metrics", "secret")):
            async with open_console(url) as app:
                readings.append(await read(app.state.console.viewpoint, 20))
    finally:
        await ask(client, [(b"ACL", b"DELUSER", b"metrics")])
    everything, permitted = (
        [(one.metric.name, point) for one in series(replace(reading, found={})) for point, _ in one.points]
        for reading in readings
    )
    assert permitted == everything and not readings[1].trouble
    assert {point[0] for name, point in permitted if name == "trimaran.queue.waiting"} >= {"consumers", "rq", "bullmq"}


async def test_a_reading_says_what_could_not_be_read(client: Client, server_url: str) -> None:
    for user, permitted in ((b"informed", b"+info"), (b"nobody", b"+ping")):
        await ask(client, [(b"ACL", b"SETUSER", user, b"on", b">secret", b"+client", permitted)])
    try:
        async with open_console(with_credentials(server_url, "informed", "secret")) as app:
            reading = await read(app.state.console.viewpoint, 20)
        assert reading.up and reading.found
        assert (reading.streams, reading.queues) == (None, None) and "permissions" in reading.trouble
        async with open_console(with_credentials(server_url, "nobody", "secret")) as app:
            with pytest.raises(AuthorizationError):
                await read(app.state.console.viewpoint, 20)
    finally:
        await ask(client, [(b"ACL", b"DELUSER", b"informed", b"nobody")])


async def test_a_server_that_is_away() -> None:
    async with open_console("redis://127.0.0.1:1") as app:
        reading = await read(app.state.console.viewpoint)
    assert not reading.up and "refused" in reading.trouble.lower()
