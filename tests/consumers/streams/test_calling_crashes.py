"""Calls whose workers die: the next one answers, and an entry that kills them all ends its call."""

from typing import Any

import anyio
import pytest

from consumers.streams import DeadLettered, Producer
from tests.consumers.forked import forked
from tests.consumers.loops import run
from tests.consumers.servers import KINDS
from tests.consumers.streams.program import consume
from tests.consumers.streams.running import Client, pending


@pytest.mark.parametrize("server_kind", [*KINDS, "broker-extended"], indirect=True)
async def test_calls_outlive_workers(client: Client, server_url: str) -> None:
    results: dict[str, Any] = {}

    async def keep_running() -> None:
        while True:
            async with forked(run, consume, server_url, 1) as process:
                await process.wait()

    await client.xgroup_create("orders", "billing", identifier="0", mkstream=True)
    async with Producer(client, "orders") as orders:

        async def call(name: str, fields: dict[str, str]) -> None:
            try:
                results[name] = await orders.call({"n": name, "answer": "1", **fields}, timeout=60)
            except DeadLettered as error:
                results[name] = error.reason

        async with anyio.create_task_group() as workers:
            workers.start_soon(keep_running)
            async with anyio.create_task_group() as callers:
                callers.start_soon(call, "killed", {"crash-once": "1"})
                callers.start_soon(call, "killer", {"crash": "1"})
                callers.start_soon(call, "other", {})
            workers.cancel_scope.cancel()
    # it ends its first worker, unless another entry does before it was begun
    assert results["killed"] == "killed" and results["other"] == "other"
    assert results["killer"].endswith("its consumer died, handling it alone")
    assert await pending(client) == 0
