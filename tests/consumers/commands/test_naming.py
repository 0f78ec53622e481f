"""What queues are called on the command line."""

import coredis
import pytest

from consumers.addresses import client_from_url, with_credentials
from consumers.commands.naming import dead_streams, named_streams, partitions_of
from consumers.commands.running import CommandError
from consumers.console.asking import ask
from consumers.jobs import Queue

Client = coredis.Redis[bytes]


async def test_a_queue_goes_by_its_key_or_by_its_own_name(client: Client) -> None:
    queue = Queue("sho*p")

    @queue.job()
    async def work() -> None: ...

    async with queue.open(client):
        await work.enqueue()
    await client.xadd("orders", {"n": "1"})
    await client.xadd("jobs:{shoop}:normal", {"n": "1"})
    await client.rpush("list", ["x"])
    await client.set("text", "x")
    assert await named_streams(client, "sho*p") == ["jobs:{sho*p}:normal"]
    assert await named_streams(client, "orders") == ["orders"]
    assert await named_streams(client, "list") == ["list"]
    assert await dead_streams(client, "orders") == ["orders"]
    assert await dead_streams(client, "sho*p") == ["jobs:{sho*p}:dead"]
    for name, text in (
        ("text", "text is a string, not a stream, list or job queue"),
        ("no\x1b", r"there is no stream, list or job queue no\\x1b"),
    ):
        with pytest.raises(CommandError, match=f"^{text}$"):
            await named_streams(client, name)
    for name, text in (
        ("list", "list is a list, not a dead-letter stream"),
        ("nosuch", "there is no dead-letter stream or job queue nosuch"),
    ):
        with pytest.raises(CommandError, match=f"^{text}$"):
            await dead_streams(client, name)


async def test_partitions_go_by_the_name_of_the_whole(client: Client) -> None:
    await client.set("orders.dead:partitions", "2")
    assert await partitions_of(client, "orders.dead") == 2 and await partitions_of(client, "orders") is None
    assert await dead_streams(client, "orders.dead") == ["orders.dead:{0}", "orders.dead:{1}"]
    await client.set("text:partitions", "many")
    assert await partitions_of(client, "text") is None
    await client.xadd("orders.dead", {"n": "1"})
    assert await partitions_of(client, "orders.dead") is None
    assert await dead_streams(client, "orders.dead") == ["orders.dead"]


async def test_a_publisher_need_not_know_types(client: Client, server_url: str) -> None:
    await client.set("orders:partitions", "2")
    await ask(client, [(b"ACL", b"SETUSER", b"publisher", b"on", b">secret", b"~*", b"+xadd", b"+get")])
    try:
        async with client_from_url(with_credentials(server_url, "publisher", "secret")) as publisher:
            assert await partitions_of(publisher, "orders") == 2
            assert await partitions_of(publisher, "plain") is None
    finally:
        await ask(client, [(b"ACL", b"DELUSER", b"publisher")])
