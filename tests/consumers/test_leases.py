"""Leases over a standstill: what was claimed meanwhile is not taken back, and a late verdict does no harm."""

import time
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from consumers.streams import Consumer, Producer
from tests.consumers.streams.running import Client, pending
from tests.oracle.wire import Connection

pytestmark = pytest.mark.both_loops

ACK_WAIT = 0.3


def _stand_still(seconds: float) -> None:
    """The whole program does nothing, as if the process were suspended."""
    time.sleep(seconds)


def _claim(url: str, id: str) -> None:
    """Another consumer takes the entry; without Trio, since that stands still."""
    port = urlsplit(url).port
    assert port is not None
    connection = Connection(("127.0.0.1", port))
    reply = connection.call("XCLAIM", "orders", "billing", "other", str(int(ACK_WAIT * 1000)), id, "JUSTID")
    connection.close()
    assert id.encode() in reply


@pytest.mark.parametrize("verdict", ["ack", "nack", "reject", "none"])
async def test_an_entry_that_was_claimed_during_a_standstill_is_lost(
    client: Client, server_url: str, server_kind: str, verdict: str
) -> None:
    if server_kind == "broker":
        pytest.skip("the broker of the test's own process stands still, too")
    id = await Producer(client, "orders").publish({"n": 1})
    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=ACK_WAIT, prefetch=1)
    still_ours: list[bool] = []
    with anyio.fail_after(20):
        async with consumer.open() as messages:
            async for message in messages:
                async with message:
                    _stand_still(ACK_WAIT + 0.1)
                    _claim(server_url, id)
                    still_ours.append(await message.in_progress())
                    if verdict == "ack":
                        # XACK goes by the entry, not by the consumer: the work was done after all
                        await message.ack()
                    elif verdict == "nack":
                        await message.nack(delay=0)
                    elif verdict == "reject":
                        await message.reject("x")
                    else:
                        message.give_back(used=True)
                break
        assert still_ours == [False]
        rows: Any = await client.xpending("orders", "billing", start="-", end="+", count=5)
        owners = [(row.identifier.decode(), row.consumer) for row in rows]
        assert owners == ([(id, b"other")] if verdict in ("nack", "none") else [])


async def test_a_lease_that_ran_out_and_was_not_claimed_goes_on(client: Client) -> None:
    await Producer(client, "orders").publish({"n": 1})
    consumer = Consumer(client, stream="orders", group="billing", consumer="a", ack_wait=ACK_WAIT, prefetch=1)
    seen: list[int] = []
    with anyio.fail_after(20):
        async with consumer.open() as messages:
            async for message in messages:
                seen.append(message.delivery_count)
                async with message:
                    _stand_still(ACK_WAIT + 0.1)
                    assert await message.in_progress()
                    await anyio.sleep(ACK_WAIT * 2)
                break
    assert seen == [1] and await pending(client) == 0
