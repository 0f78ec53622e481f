"""taskiq's streams, while a worker takes tasks from them."""

from typing import Any

import coredis
import pytest

from consumers.console.queues.taskiq_streams import StreamQueue

Client = coredis.Redis[bytes]


async def test_what_a_worker_takes_while_waiting_tasks_are_purged_does_not_count(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.xgroup_create("taskiq", "workers", identifier="0", mkstream=True)
    for number in range(250):
        await client.xadd("taskiq", {"data": str(number)})
    read, taken = StreamQueue._read, [3, 0, 2]

    async def read_slowly(self: StreamQueue, *arguments: Any) -> Any:
        page = await read(self, *arguments)
        if taken and (count := taken.pop(0)):
            await client.xreadgroup("workers", "w", {"taskiq": ">"}, count=count)
        return page

    monkeypatch.setattr(StreamQueue, "_read", read_slowly)
    assert await StreamQueue(client, "taskiq", "workers").purge_waiting() == 245
    assert await client.xlen("taskiq") == 0
    (left,) = await client.xinfo_groups("taskiq")
    assert left[b"pending"] == 5
