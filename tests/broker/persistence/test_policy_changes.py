"""CONFIG SET appendfsync is a command like others: what else a transaction does is not divided by it."""

from broker import open_broker
from broker.persistence.persistence import Storage
from tests.broker.inprocess import Client
from tests.broker.persistence.durable import APPENDONLY, FOLDER, InPlace
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.broker.persistence.test_effects_rebuild import SetClock


class MovingClock(SetClock):
    """A wall clock that is 10 ms further whenever it is read."""

    def update(self) -> int:
        self.at += 10
        return super().update()


async def test_a_policy_changed_within_a_transaction_serves_nobody_and_moves_no_time() -> None:
    disk, clock = SimulatedDisk(), MovingClock()
    async with open_broker({"dir": FOLDER, **APPENDONLY}, clock=clock, storage=Storage(disk, InPlace)) as server:
        waiter, client = Client(await server.connect()), Client(await server.connect())
        await waiter.send("BLPOP list 0")
        assert await client.call("MULTI") == b"+OK\r\n"
        for words in (
            "SET due 1 PX 5", "RPUSH list a", "CONFIG SET appendfsync always", "LPUSH list b", "EXISTS due",
        ):  # fmt: skip
            assert await client.call(words) == b"+QUEUED\r\n"
        assert await client.call("EXEC") == b"*5\r\n+OK\r\n:1\r\n+OK\r\n:2\r\n:1\r\n"
        assert await waiter.receive() == b"*2\r\n$4\r\nlist\r\n$1\r\nb\r\n"
        for each in (waiter, client):
            await each.stream.aclose()
