"""kill -9 of workers at random moments: nothing lost, nothing done twice but what a killed worker had in hand.

TRIMARAN_CRASH_ROUNDS sets how many workers are killed at each server.
"""

import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import pytest

from consumers.partitions import members_key, partition_streams
from consumers.streams import Producer
from tests.consumers.forked import ForkedProcess, forked
from tests.consumers.loops import run
from tests.consumers.streams.running import Client, dead, pending
from tests.consumers.streams.worker import work

pytestmark = [pytest.mark.both_loops, pytest.mark.spread]

ROUNDS = int(os.environ.get("TRIMARAN_CRASH_ROUNDS", "12"))
WORKERS = ("a", "b", "c", "d")
EACH_ROUND = 12
PARTITION_ROUNDS = max(2, ROUNDS // 17)


class Workers:
    """Processes that each run a worker, by its name."""

    def __init__(self, stack: AsyncExitStack, url: str, partitions: int | None) -> None:
        self._stack = stack
        self._settings = url, partitions
        self.running: dict[str, ForkedProcess] = {}
        self.killed: set[int] = set()

    async def start(self, name: str, *, instead_of: str | None = None) -> None:
        """Start the worker `name`, known here by that name or by that of the killed one whose place it takes."""
        process = forked(run, work, name, *self._settings)
        self.running[instead_of or name] = await self._stack.enter_async_context(process)

    async def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        await process.wait()
        self.killed.add(process.pid)

    def stop(self, name: str) -> None:
        """Suspend a worker, like a virtual machine that is frozen."""
        self.running[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.running[name].send_signal(signal.SIGCONT)


@asynccontextmanager
async def workers(url: str, partitions: int | None = None, *, limit: float) -> AsyncIterator[Workers]:
    """Processes for the block, which may take this many seconds."""
    with anyio.fail_after(limit):
        async with AsyncExitStack() as stack:
            yield Workers(stack, url, partitions)


async def test_no_entry_is_lost_or_done_twice_when_workers_are_killed(client: Client, server_url: str) -> None:
    producer = Producer(client, "orders")
    published = 0
    async with workers(server_url, limit=60 + ROUNDS) as processes:
        for name in WORKERS:
            await processes.start(name)
        for round in range(ROUNDS):
            entries = [{"n": str(published + n)} for n in range(EACH_ROUND)]
            if not round % 5:
                entries[3]["poison"] = "1"
            published += EACH_ROUND
            await producer.publish_many(entries)
            await anyio.sleep(random.uniform(0, 0.2))
            victim = random.choice(WORKERS)
            await processes.kill(victim)
            # half of them come back under their name, the others leave what they had to the rest
            name = victim if random.random() < 0.5 else f"{victim}-{round}"
            await processes.start(name, instead_of=victim)
        while await pending(client) or (await client.xinfo_groups("orders"))[0][b"lag"]:
            await anyio.sleep(0.1)
    poisoned = {str(n) for n in range(3, published, 5 * EACH_ROUND)}
    dead_letters = await dead(client)
    assert {fields[b"n"].decode() for fields in dead_letters} == poisoned
    assert len(dead_letters) == len(poisoned)
    for n in range(published):
        if str(n) in poisoned:
            continue
        by = [int(process) for process in await client.lrange(f"handled:{n}", 0, -1)]
        assert by, f"entry {n} was lost"
        assert set(by[:-1]) <= processes.killed, f"entry {n} was done again though nobody crashed: {by}"


async def test_the_order_of_keys_survives_the_deaths_of_partitions_owners(client: Client, server_url: str) -> None:
    partitions, customers = 4, 12
    producer = Producer(client, "orders", partitions=partitions, key="customer")
    published = 0
    async with workers(server_url, partitions, limit=90) as processes:
        for name in WORKERS[:3]:
            await processes.start(name)
        for round in range(PARTITION_ROUNDS):
            for _ in range(10):
                entries = [{"customer": str(n % customers), "n": str(n)} for n in range(published, published + 12)]
                published += len(entries)
                await producer.publish_many(entries)
                await anyio.sleep(random.uniform(0, 0.08))
            victim = random.choice(list(processes.running))
            await processes.kill(victim)
            await processes.start(f"w{round}")
        for name in partition_streams("orders", partitions):
            while await pending(client, name) or (await client.xinfo_groups(name))[0][b"lag"]:
                await anyio.sleep(0.1)
    for customer in range(customers):
        handled = [int(n) for n in await client.lrange(f"order:{customer}", 0, -1)]
        assert list(dict.fromkeys(handled)) == list(range(customer, published, customers))
    for n in range(published):
        by = [int(process) for process in await client.lrange(f"handled:{n}", 0, -1)]
        assert set(by[:-1]) <= processes.killed, f"entry {n} was done again though nobody crashed: {by}"


async def test_an_owner_that_was_suspended_loses_its_partitions_and_no_entry(client: Client, server_url: str) -> None:
    partitions = 2
    producer = Producer(client, "orders", partitions=partitions, key="customer")
    published = 0

    async def publish(rounds: int) -> None:
        nonlocal published
        for _ in range(rounds):
            entries = [{"customer": str(n % 12), "n": str(n)} for n in range(published, published + 12)]
            published += len(entries)
            await producer.publish_many(entries)
            await anyio.sleep(0.05)

    async def owners() -> set[bytes]:
        held = (await client.hgetall(members_key("orders", "billing"))).values()
        return {value.split()[2] for value in held if b" held " in value}

    async with workers(server_url, partitions, limit=60) as processes:
        for name in ("a", "b"):
            await processes.start(name)
        while await owners() != {b"a", b"b"}:
            await publish(1)
        processes.stop("a")
        while b"a" in await owners():
            await publish(1)
        # what its read still gets belongs to a name that nobody else uses
        processes.resume("a")
        while await owners() != {b"a", b"b"}:
            await publish(1)
        for name in partition_streams("orders", partitions):
            while await pending(client, name) or (await client.xinfo_groups(name))[0][b"lag"]:
                await anyio.sleep(0.1)
    for n in range(published):
        by = await client.lrange(f"handled:{n}", 0, -1)
        assert 1 <= len(by) <= 2, f"entry {n}: {by}"
