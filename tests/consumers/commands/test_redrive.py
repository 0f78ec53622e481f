"""`trimaran redrive`."""

import json

import coredis
import pytest

from consumers.commands import redrive
from consumers.deadletters import bury
from tests.consumers.commands.commands import lines

Client = coredis.Redis[bytes]


@pytest.fixture
async def dead(client: Client) -> Client:
    """orders.dead with three dead letters, of two groups."""
    for number, group in enumerate(("billing", "billing", "shipping")):
        _, key, *rest = bury(
            "orders.dead",
            origin=("orders", f"{number}-1", group, "c"),
            values=[b"n", b"%d" % number],
            reason="ValueError:\nno",
            deliveries=5,
            maxlen=None,
        )
        pairs = rest[1:]
        await client.xadd(str(key), dict(zip(pairs[::2], pairs[1::2], strict=True)))
    return client


async def numbers(client: Client, stream: str) -> list[str | bytes]:
    return [dict(entry.field_values)[b"n"] for entry in await client.xrange(stream)]


async def test_all_go_back(dead: Client) -> None:
    assert await lines(redrive, dead, "orders.dead") == ["3"]
    assert await numbers(dead, "orders") == [b"0", b"1", b"2"]
    assert await dead.xlen("orders.dead") == 0
    assert await lines(redrive, dead, "orders.dead", "--json") == ['{"redriven": 0}']


async def test_a_choice_of_them_goes_elsewhere(dead: Client) -> None:
    assert await lines(redrive, dead, "orders.dead", "--group", "billing", "--count", "1", "--to", "again") == ["1"]
    assert await lines(redrive, dead, "orders.dead", "--stream", "other") == ["0"]
    assert await numbers(dead, "again") == [b"0"]
    assert await numbers(dead, "orders.dead") == [b"1", b"2"]


async def test_a_dry_run_only_lists_them(dead: Client) -> None:
    listed = await lines(redrive, dead, "orders.dead", "--dry-run", "--group", "billing", "--count", "1")
    assert [line.split("\t")[1:] for line in listed] == [["orders", "0-1", "billing", "5", "ValueError:\\nno"]]
    as_json = [json.loads(line) for line in await lines(redrive, dead, "orders.dead", "--dry-run", "--json")]
    assert [line["group"] for line in as_json] == ["billing", "billing", "shipping"]
    assert as_json[0]["reason"] == "ValueError:\nno"
    assert await dead.xlen("orders.dead") == 3
