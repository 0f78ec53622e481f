"""`trimaran info`: INFO as text and as JSON."""

import json
from collections.abc import AsyncIterator

import coredis
import pytest

from consumers.commands import info
from consumers.commands.running import CommandError
from tests.consumers.clusters import started_cluster, two_nodes
from tests.consumers.commands.commands import lines

Client = coredis.Redis[bytes]


async def test_sections_as_text(client: Client) -> None:
    await client.set("k", "v")
    found = await lines(info, client, "clients", "keyspace")
    assert found[0] == "# Clients" and "# Keyspace" in found
    assert any(line.startswith("connected_clients:") for line in found)
    assert any(line.startswith("db0:keys=1,") for line in found)
    everything = await lines(info, client)
    assert {"# Server", "# Memory", "# Commandstats"} <= set(everything)


async def test_json(client: Client) -> None:
    await client.set("k", "v")
    (line,) = await lines(info, client, "--json", "server", "keyspace", "stats")
    found = json.loads(line)
    assert set(found) == {"server", "keyspace", "stats"}
    assert found["keyspace"]["db0"]["keys"] == 1
    assert isinstance(found["server"]["tcp_port"], int) and isinstance(found["server"]["run_id"], str)
    assert isinstance(found["stats"]["total_commands_processed"], int)


async def test_a_section_that_is_not_there(client: Client) -> None:
    with pytest.raises(CommandError, match=r"^the server has no section nosuch or no\\x1b$"):
        await lines(info, client, "nosuch", "no\x1b")


@pytest.fixture
async def cluster() -> "AsyncIterator[coredis.RedisCluster[bytes]]":
    with two_nodes() as nodes:
        async with started_cluster(nodes) as client:
            yield client


async def test_each_primary_of_a_cluster(cluster: "coredis.RedisCluster[bytes]") -> None:
    found = [json.loads(line) for line in await lines(info, cluster, "server", "--json")]  # type: ignore[arg-type]
    assert len({one["node"] for one in found}) == len(found) == 2
    text = await lines(info, cluster, "server")  # type: ignore[arg-type]
    assert sum(line.startswith("== 127.0.0.1:") for line in text) == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-5", -5),
        ("1.50", 1.5),
        ("007", "007"),
        ("1.2.3", "1.2.3"),
        ("", ""),
        ("a=1,b=2.5", {"a": 1, "b": 2.5}),
    ],
)
def test_values(text: str, value: object) -> None:
    assert info._value(text) == value
