"""Calls whose workers die: the next one answers, and an entry that kills them all ends its call."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from consumers.streams import DeadLettered, Producer
from tests.consumers.servers import KINDS
from tests.consumers.streams.running import Client, pending

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("server_kind", [*KINDS, "broker-extended"], indirect=True)
async def test_calls_outlive_workers(client: Client, server_url: str) -> None:
    command = [sys.executable, "-m", "tests.consumers.streams.program", server_url, "1", ""]
    results: dict[str, Any] = {}

    async def keep_running() -> None:
        while True:
            await anyio.run_process(command, cwd=ROOT, check=False, stderr=subprocess.DEVNULL)

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
