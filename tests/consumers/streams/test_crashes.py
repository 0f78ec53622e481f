"""kill -9 of workers at random moments: nothing lost, nothing done twice but what a killed worker had in hand.

TRIMARAN_CRASH_ROUNDS sets how many workers are killed at each server (100 take about 13 s).
"""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from consumers.partitions import members_key, partition_streams
from consumers.streams import Producer
from tests.consumers.streams.running import Client, dead, pending

pytestmark = pytest.mark.both_loops

ROOT = Path(__file__).resolve().parents[3]
ROUNDS = int(os.environ.get("TRIMARAN_CRASH_ROUNDS", "34"))
WORKERS = ("a", "b", "c", "d")
EACH_ROUND = 12
PARTITION_ROUNDS = max(2, ROUNDS // 17)


class Workers:
    """Processes of worker_processes.py, by name."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.running: dict[str, int] = {}
        self.killed: set[int] = set()

    async def start(self, name: str) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        line = await anyio.to_thread.run_sync(self._process.stdout.readline)
        self.running[name] = int(line.split()[1])

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        os.kill(process, signal.SIGKILL)
        self.killed.add(process)

    def stop(self, name: str) -> None:
        """Suspend a worker, like a virtual machine that is frozen."""
        os.kill(self.running[name], signal.SIGSTOP)

    def resume(self, name: str) -> None:
        os.kill(self.running[name], signal.SIGCONT)


@contextmanager
def workers(url: str, *partitions: str) -> Iterator[Workers]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.consumers.streams.worker_processes", url, *partitions],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    started = Workers(process)
    try:
        yield started
    finally:
        for name in list(started.running):
            started.kill(name)
        process.kill()
        process.communicate()


async def test_no_entry_is_lost_or_done_twice_when_workers_are_killed(client: Client, server_url: str) -> None:
    producer = Producer(client, "orders")
    published = 0
    with anyio.fail_after(60 + ROUNDS), workers(server_url) as processes:
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
            processes.kill(victim)
            # half of them come back under their name, the others leave what they had to the rest
            name = victim if random.random() < 0.5 else f"{victim}-{round}"
            processes.running[victim] = 0
            await processes.start(name)
            processes.running[victim] = processes.running.pop(name)
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
    with anyio.fail_after(90), workers(server_url, str(partitions)) as processes:
        for name in WORKERS[:3]:
            await processes.start(name)
        for round in range(PARTITION_ROUNDS):
            for _ in range(10):
                entries = [{"customer": str(n % customers), "n": str(n)} for n in range(published, published + 12)]
                published += len(entries)
                await producer.publish_many(entries)
                await anyio.sleep(random.uniform(0, 0.08))
            victim = random.choice(list(processes.running))
            processes.kill(victim)
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

    with anyio.fail_after(60), workers(server_url, str(partitions)) as processes:
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
