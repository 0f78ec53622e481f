"""An entry that always ends its consumer's process, beside others that are fine.

TRIMARAN_CULPRIT_ROUNDS sets how often this is played at each server, each time with another chance.
"""

import os
import random
from collections import Counter

import anyio
import pytest

from consumers.streams import Producer
from tests.consumers.forked import forked
from tests.consumers.loops import run
from tests.consumers.streams.program import consume
from tests.consumers.streams.running import Client, dead, pending

pytestmark = [pytest.mark.both_loops, pytest.mark.spread]

ROUNDS = int(os.environ.get("TRIMARAN_CULPRIT_ROUNDS", "1"))
OTHERS = 31


@pytest.mark.parametrize("round", range(ROUNDS))
# 1 and 2 end within the runs that it may share with others, 3 in one that it had alone: more would be more of these.
@pytest.mark.parametrize(("max_deliver", "runs"), [(1, (1, 2)), (2, (1, 2)), (3, (1, 3))])
async def test_the_culprit_alone_is_dead(
    client: Client, server_url: str, max_deliver: int, runs: tuple[int, int], round: int
) -> None:
    chance = random.Random(100 * round + max_deliver)
    entries = [{"n": str(n), "k": str(n % 5)} for n in range(OTHERS)]
    entries.insert(chance.randrange(OTHERS), {"n": "culprit", "k": "3", "crash": "1"})
    await Producer(client, "orders").publish_many(entries)
    order_by = chance.choice([None, "k"])

    async def keep_running() -> None:
        while True:
            async with forked(run, consume, server_url, max_deliver, order_by) as process:
                await process.wait()

    with anyio.fail_after(90):
        async with anyio.create_task_group() as tasks:
            for _ in range(chance.choice([1, 2])):
                tasks.start_soon(keep_running)
            while len(set(await client.lrange("done", 0, -1))) < OTHERS or not await client.xlen("orders.dead"):
                await anyio.sleep(0.05)
            while await pending(client):
                await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
    (fields,) = await dead(client)
    assert fields[b"n"] == b"culprit" and fields[b"dead-reason"].endswith(b"its consumer died, handling it alone")
    begun = Counter(await client.lrange("begun", 0, -1))
    least, most = runs
    assert least <= begun.pop(b"culprit") <= most
    # each of the others was begun again only after crashes in which it was in hand
    assert len(begun) == OTHERS and max(begun.values()) <= 3
