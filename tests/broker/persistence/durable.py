"""Brokers whose files are on a simulated disk, and whose children do their work in place."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from broker import open_broker
from broker.persistence.background import Child, Outcome, Progress, Work
from broker.persistence.persistence import Storage
from tests.broker.inprocess import Broker
from tests.broker.persistence.simulated_disk import SimulatedDisk

FOLDER = "/"
MANIFEST = "appendonlydir/appendonly.aof.manifest"
INCREMENT = "appendonlydir/appendonly.aof.1.incr.aof"
APPENDONLY = {"appendonly": "yes", "save": ""}


class InPlace:
    """A child whose work is done when it is started."""

    def __init__(self, work: Work) -> None:
        try:
            work(lambda keys: None)
            self._outcome = Outcome("")
        except OSError as problem:
            self._outcome = Outcome(str(problem))

    def kill(self) -> None:
        self._outcome = Outcome("killed")

    async def wait(self, progress: Progress) -> Outcome:
        return self._outcome


@asynccontextmanager
async def durable(
    disk: SimulatedDisk, directives: dict[str, str] | None = None, spawn: Callable[[Work], Child] = InPlace
) -> AsyncIterator[Broker]:
    """A broker that keeps its files on `disk`, in FOLDER; an append-only file without save points, unless said."""
    settings = {"dir": FOLDER, **(APPENDONLY if directives is None else directives)}
    async with open_broker(settings, storage=Storage(disk, spawn)) as server:
        broker = Broker(server)
        try:
            yield broker
        finally:
            for client in broker.clients:
                await client.stream.aclose()


async def contents(disk: SimulatedDisk, directives: dict[str, str] | None = None) -> dict[bytes, object]:
    """The first database's keys after a start from a disk; strings, and the lists' elements."""
    async with durable(disk, directives) as broker:
        data = broker.broker.keyspace.databases[0].data
        return {key: value if isinstance(value, bytes) else list(value) for key, value in data.items()}
