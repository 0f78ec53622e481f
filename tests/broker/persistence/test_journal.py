"""The journal: when replies leave, what a failing disk does, and that a tick never waits for a sync."""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
import trio

from broker.persistence import journal as journal_module
from broker.persistence.files import Output
from broker.persistence.journal import GATHER_SECONDS, POSTPONED_MS
from broker.persistence.syncing import NAME
from broker.process.log import Log
from tests.broker.inprocess import Broker, Client
from tests.broker.persistence.durable import APPENDONLY, INCREMENT, InPlace, contents, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk

ALWAYS = {**APPENDONLY, "appendfsync": "always"}
EVERYSEC = {**APPENDONLY, "appendfsync": "everysec"}

FULL = b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"
BROKEN = b"-MISCONF Errors writing to the AOF file: Input/output error\r\n"


class SlowDisk(SimulatedDisk):
    """A disk on which the syncs of files wait until they may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.may_sync = threading.Event()
        self.may_sync.set()
        self.syncing = threading.Event()
        self.let_through = 0

    def append(self, path: str) -> Output:
        return self._slow(super().append(path))

    def create(self, path: str) -> Output:
        return self._slow(super().create(path))

    def create_new(self, path: str) -> Output:
        return self._slow(super().create_new(path))

    def _slow(self, output: Output) -> Output:
        sync = output.sync

        def slow() -> None:
            if self.let_through:
                self.let_through -= 1
                return sync()
            self.syncing.set()
            assert self.may_sync.wait(10)
            sync()

        output.sync = slow  # type: ignore[method-assign]
        return output

    @contextmanager
    def stopped(self, let_through: int = 0) -> Iterator[None]:
        """Meanwhile no sync ends but the first few."""
        self.let_through = let_through
        self.syncing.clear()
        self.may_sync.clear()
        try:
            yield
        finally:
            self.may_sync.set()


def reads_nothing(client: Client) -> bool:
    """Whether nothing has been sent to the client so far."""
    sock = client.stream.socket  # type: ignore[attr-defined]
    try:
        return not sock._sock.recv(100)
    except BlockingIOError:
        return True


async def test_a_reply_waits_for_the_sync_of_its_write_and_other_clients_do_not() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        writer, reader = await broker.client(), await broker.client()
        with disk.stopped():
            await writer.send("SET k v")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            # Sent, executed and answered after the write.
            assert await reader.call("GET k") == b"$1\r\nv\r\n"
            assert reads_nothing(writer)
        assert await writer.receive() == b"+OK\r\n"


async def test_what_gathers_during_a_sync_is_synced_at_once() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        first, reader = await broker.client(), await broker.client()
        others = [await broker.client() for _ in range(5)]
        with disk.stopped():
            await first.send("SET first 1")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            for number, client in enumerate(others):
                await client.send(f"SET k{number} 1")
            assert await reader.call("PING") == b"+PONG\r\n"
            before = disk.calls.count("sync")
        for client in (first, *others):
            assert await client.receive() == b"+OK\r\n"
        # The one that was running, which is counted when it is let go on, and one for all five.
        assert disk.calls.count("sync") - before == 2


async def test_a_pipeline_goes_on_after_a_held_reply() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        client = await broker.client()
        with disk.stopped():
            await client.send("SET k v")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            await client.send("GET k")
            assert reads_nothing(client)
        assert await client.receive() == b"+OK\r\n"
        assert await client.receive() == b"$1\r\nv\r\n"


async def test_the_reply_to_a_served_waiter_waits_for_the_sync_of_its_pop() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        waiter, writer, reader = await broker.client(), await broker.client(), await broker.client()
        await waiter.send("BLPOP l 0")
        while not broker.broker.blocking.sessions:
            await reader.call("PING")
        with disk.stopped():
            await writer.send("RPUSH l x")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            assert await reader.call("EXISTS l") == b":0\r\n"
            assert reads_nothing(waiter) and reads_nothing(writer)
        assert await waiter.receive() == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n"
        assert await writer.receive() == b":1\r\n"


async def test_a_held_client_that_hangs_up_is_forgotten() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        writer, reader = await broker.client(), await broker.client()
        with disk.stopped():
            await writer.send("SET k v")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            await writer.stream.aclose()
            while len(broker.broker.sessions) > 1:
                await reader.call("PING")
        assert await reader.call("SET k w") == b"+OK\r\n"


async def held(disk: SlowDisk, writer: Client) -> None:
    """Have the client write something whose sync doesn't end; its reply is held then."""
    await writer.send("SET k v")
    assert await trio.to_thread.run_sync(disk.syncing.wait, 10)


async def test_messages_to_a_held_client_follow_its_reply() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        client, other = await broker.client(), await broker.client()
        await client.call("HELLO 3")
        await client.call("SUBSCRIBE news")
        with disk.stopped():
            await held(disk, client)
            for number in range(3):
                assert await other.call(f"PUBLISH news {number}") == b":1\r\n"
            assert reads_nothing(client)
        assert await client.receive() == b"+OK\r\n"
        for number in range(3):
            assert await client.receive() == b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\n%d\r\n" % number
        assert await client.call("SET k w") == b"+OK\r\n"


async def test_a_held_client_is_closed_when_messages_to_it_are_over_its_limit() -> None:
    disk = SlowDisk()
    async with durable(disk, {**ALWAYS, "client-output-buffer-limit": "pubsub 1000 0 0"}) as broker:
        client, other = await broker.client(), await broker.client()
        await client.call("HELLO 3")
        await client.call("SUBSCRIBE news")
        with disk.stopped():
            await held(disk, client)
            assert await other.call("PUBLISH", "news", "x" * 500) == b":1\r\n"
            assert await other.call("PUBLISH", "news", "x" * 500) == b":1\r\n"
            assert await other.call("PUBLISH", "news", "x") == b":0\r\n"


async def test_a_held_reply_behind_others_that_the_socket_did_not_take_waits_too() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        slow, other = await broker.client(), await broker.client()
        await other.call("SET", "large", "x" * 500_000)
        await slow.stream.send_all(b"GET large\r\nBLPOP l 0\r\n")
        while not broker.broker.blocking.sessions:
            await other.call("PING")
        (connection,) = (one for one in broker.server.tick.connections() if one.backlog)
        with disk.stopped():
            await other.send("RPUSH l x")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            with trio.move_on_after(0.1):
                assert len(await slow.receive()) == 500_011
            await (await broker.client()).call("PING")
            assert connection.backlog.size >= len(b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n")
        if len(reply := await slow.receive()) == 500_011:
            reply = await slow.receive()
        assert reply == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n"


async def test_a_held_client_that_is_killed_gets_nothing() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        writer, other = await broker.client(), await broker.client()
        number = (await writer.call("CLIENT ID"))[1:-2].decode()
        with disk.stopped():
            await held(disk, writer)
            assert await other.call(f"CLIENT KILL ID {number}") == b":1\r\n"
            assert await writer.receive() == b""


async def test_a_client_that_leaves_after_a_write_gets_its_replies() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        client, other = await broker.client(), await broker.client()
        with disk.stopped():
            await client.stream.send_all(b"SET k v\r\nQUIT\r\n")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            assert await other.call("GET k") == b"$1\r\nv\r\n"
            assert reads_nothing(client)
        assert [await client.receive() for _ in range(3)] == [b"+OK\r\n", b"+OK\r\n", b""]


async def test_replies_that_are_too_many_at_once_leave_in_order_between_writes() -> None:
    async with durable(SimulatedDisk(), ALWAYS) as broker:
        client = await broker.client()
        await client.call("SET", "large", "x" * 300_000)
        await client.stream.send_all(b"INCR n\r\nGET large\r\n" * 30)
        for number in range(30):
            assert await client.receive() == b":%d\r\n" % (number + 1)
            assert len(await client.receive()) == 300_011


async def test_clients_that_are_let_go_on_share_the_next_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the last sync's half is not over, and clients are ready, the next one waits for them."""
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        journal = broker.broker.persistence.journal
        begun: list[int] = []
        monkeypatch.setattr(journal, "_sync", lambda: begun.append(journal._written_position))
        client = await broker.client()
        await client.call("PING")
        journal._gathers_until = float("inf")
        broker.broker.keyspace.effects.position += 1
        journal._record([(0, [b"SET", b"k", b"v"])])
        journal.end_tick()
        assert not begun
        journal.end_turn()
        assert len(begun) == 1
        monkeypatch.undo()


async def test_the_thread_ends_with_the_broker_and_with_the_journal() -> None:
    def running() -> bool:
        return any(thread.name == NAME for thread in threading.enumerate())

    assert not running()
    async with durable(SimulatedDisk(), ALWAYS) as broker:
        assert running()
        client = await broker.client()
        await client.call("SET k v")
        await client.call("CONFIG SET appendonly no")
        while broker.broker.persistence.journal.is_open:
            await client.call("PING")
        assert not running()
        await client.call("CONFIG SET appendonly yes")
        while not broker.broker.persistence.journal.is_open:
            await client.call("PING")
        assert running()
    assert not running()


@pytest.mark.parametrize("problem", [False, True])
async def test_a_broker_that_ends_within_a_sync_waits_for_it(problem: bool) -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        writer = await broker.client()
        broker.clients.clear()
        disk.syncing.clear()
        disk.may_sync.clear()
        await held(disk, writer)
        if problem:
            disk.fail(0, errno.EIO)
        threading.Timer(0.05, disk.may_sync.set).start()
    assert await writer.receive() == (b"" if problem else b"+OK\r\n")
    await writer.stream.aclose()


@pytest.mark.parametrize("settings", [ALWAYS, EVERYSEC])
async def test_what_is_answered_is_in_the_file(settings: dict[str, str]) -> None:
    disk = SimulatedDisk()
    async with durable(disk, settings) as broker:
        client = await broker.client()
        await client.call("SET k v")
        assert b"SET\r\n$1\r\nk" in disk.files()[INCREMENT]
        if settings is ALWAYS:
            images = [await contents(image, settings) for image in disk.crash_images()]
            assert images and all(image == {b"k": b"v"} for image in images)


async def test_a_transaction_is_whole_in_every_crash_image() -> None:
    disk = SimulatedDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        await client.call("MULTI")
        await client.call("SET a 1")
        await client.call("SET b 1")
        await client.call("EXEC")
        states = [frozenset(await contents(image, EVERYSEC)) for image in disk.crash_images()]
    assert set(states) == {frozenset(), frozenset({b"a", b"b"})}


async def full(disk: SimulatedDisk) -> None:
    """Leave no room on the disk."""
    disk.capacity = sum(map(len, disk.files().values()))


async def test_a_full_disk_refuses_writes_and_goes_on_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        await client.call("SET before 1")
        await full(disk)
        # The write that finds the disk full has been executed; those after it are not.
        assert await client.call("SET executed 1") == b"+OK\r\n"
        assert await client.call("SET refused 1") == FULL
        assert await client.call("PING") == FULL
        assert await client.call("GET before") == b"$1\r\n1\r\n"
        assert "aof_last_write_status:err" in await client.text("INFO persistence")
        disk.heal()
        await trio.sleep(2)
        assert await client.call("SET after 1") == b"+OK\r\n"
        assert "aof_last_write_status:ok" in await client.text("INFO persistence")
    assert set(await contents(disk, EVERYSEC)) == {b"before", b"executed", b"after"}


async def test_with_always_a_full_disk_lets_the_client_wait_until_there_is_room() -> None:
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        client, other = await broker.client(), await broker.client()
        await full(disk)
        await client.send("SET k v")
        while await other.call("PING") != FULL:
            pass
        assert reads_nothing(client)
        assert await other.call("SET refused 1") == FULL
        disk.heal()
        assert await client.receive() == b"+OK\r\n"
        assert await other.call("SET k2 v") == b"+OK\r\n"
        images = [await contents(image, ALWAYS) for image in disk.crash_images()]
        assert all(image == {b"k": b"v", b"k2": b"v"} for image in images)


async def fail_syncs(disk: SimulatedDisk) -> None:
    """Let the next sync fail; what is written before it is written."""
    disk.fail(1, errno.EIO)


async def test_a_failed_sync_is_final_and_ends_the_clients_who_wait_for_it() -> None:
    disk = SimulatedDisk()
    async with durable(disk, ALWAYS) as broker:
        writer, other = await broker.client(), await broker.client()
        await fail_syncs(disk)
        await writer.send("SET k v")
        assert await writer.receive() == b""
        assert await other.call("SET refused 1") == BROKEN
        assert await other.call("GET k") == b"$1\r\nv\r\n"
        disk.heal()
        assert await other.call("SET refused 1") == BROKEN
    async with durable(disk, ALWAYS) as broker:
        assert await (await broker.client()).call("SET k w") == b"+OK\r\n"


async def test_every_second_a_failed_sync_is_final_too(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        await client.call("SET k v")
        disk.fail(0, errno.EIO)
        # The clock jumps while a thread is at work: ask until it is done.
        while await client.call("PING") == b"+PONG\r\n":
            await trio.sleep(0.1)
        assert await client.call("SET refused 1") == BROKEN
        disk.heal()
        await trio.sleep(5)
        assert await client.call("SET refused 1") == BROKEN
        assert await client.call("GET k") == b"$1\r\nv\r\n"


async def test_every_second_what_is_written_is_synced(autojump_clock: trio.testing.MockClock) -> None:
    disk = SimulatedDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        await client.call("SET k v")
        # For ever: the clock jumps to any time-out while a thread is at work.
        assert await client.call("WAITAOF 1 0 0") == b"*2\r\n:1\r\n:0\r\n"
        assert all([await contents(image, EVERYSEC) == {b"k": b"v"} for image in disk.crash_images()])
        assert "aof_oldest_unsynced_ms:0" in await client.text("INFO persistence")


async def begin_to_sync(disk: SlowDisk, broker: Broker) -> None:
    """What once a second happens by itself."""
    broker.broker.persistence.journal._wake.set()
    assert await trio.to_thread.run_sync(disk.syncing.wait, 10)


async def test_every_second_what_is_answered_during_a_sync_is_in_the_file() -> None:
    disk = SlowDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        with disk.stopped():
            await client.call("SET before 1")
            await begin_to_sync(disk, broker)
            assert await client.call("SET during 1") == b"+OK\r\n"
            # What a kill of the process alone leaves.
            assert await contents(SimulatedDisk(disk.files()), EVERYSEC) == {b"before": b"1", b"during": b"1"}
        assert "aof_delayed_fsync:0" in await client.text("INFO persistence")


class SluggishWrites:
    """Makes writes of a journal take `seconds` of its time, asleep or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, broker: Broker) -> None:
        self.seconds = 0.0
        self.asleep = True
        self.now = 1000.0
        self.waits = 1
        journal = broker.broker.persistence.journal
        write = journal._write

        def sluggish() -> None:
            self.now += self.seconds
            self.waits += self.asleep
            write()

        monkeypatch.setattr(journal, "_write", sluggish)
        monkeypatch.setattr(journal_module, "monotonic", lambda: self.now)
        monkeypatch.setattr(journal_module, "_waits", lambda: self.waits)


async def test_where_a_write_waits_for_a_sync_the_next_ones_gather(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = SlowDisk()
    async with durable(disk, EVERYSEC) as broker:
        broker.broker.persistence.journal._log = Log(path=str(tmp_path / "log"))
        client = await broker.client()
        writes = SluggishWrites(monkeypatch, broker)
        with disk.stopped():
            await client.call("SET k v")
            await begin_to_sync(disk, broker)
            writes.seconds = 0.5
            for name in "ab":
                assert await client.call(f"SET {name} 1") == b"+OK\r\n"
            assert set(await contents(SimulatedDisk(disk.files()), EVERYSEC)) == {b"k", b"a"}
            # Not forever: this sync takes too long.
            broker.broker.persistence.journal._syncing_since -= POSTPONED_MS
            await client.call("SET c 1")
            assert set(await contents(SimulatedDisk(disk.files()), EVERYSEC)) == {b"k", b"a", b"b", b"c"}
        while broker.broker.persistence.journal.syncing:
            await client.call("PING")
        assert "aof_delayed_fsync:2" in await client.text("INFO persistence")
        with disk.stopped():
            await begin_to_sync(disk, broker)
            await client.call("SET d 1")
            assert b"d" not in await contents(SimulatedDisk(disk.files()), EVERYSEC)
        while broker.broker.persistence.journal.syncing:
            await client.call("PING")
        assert b"d" in await contents(SimulatedDisk(disk.files()), EVERYSEC)
        # After a while it is tried again.
        writes.now += GATHER_SECONDS
        writes.seconds = 0.0
        with disk.stopped():
            await begin_to_sync(disk, broker)
            await client.call("SET e 1")
            assert b"e" in await contents(SimulatedDisk(disk.files()), EVERYSEC)
    assert (tmp_path / "log").read_text().count("had to wait for its sync") == 1


async def test_a_write_that_was_only_not_given_the_processor_is_no_reason_to_gather(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disk = SlowDisk()
    async with durable(disk, EVERYSEC) as broker:
        client = await broker.client()
        writes = SluggishWrites(monkeypatch, broker)
        writes.seconds, writes.asleep = 0.5, False
        with disk.stopped():
            await client.call("SET k v")
            await begin_to_sync(disk, broker)
            for name in "ab":
                assert await client.call(f"SET {name} 1") == b"+OK\r\n"
            assert set(await contents(SimulatedDisk(disk.files()), EVERYSEC)) == {b"k", b"a", b"b"}


@pytest.mark.parametrize("policy", ["everysec", "no"])
@pytest.mark.parametrize("let_through", [0, 1])
async def test_while_a_rewrite_prepares_its_files_what_is_answered_is_in_the_present_one(
    let_through: int, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first sync is the manifest's, the second that of what is in the present file by then."""
    monkeypatch.setattr(journal_module, "SYNC_SECONDS", 3600)
    disk = SlowDisk()
    settings = {**APPENDONLY, "appendfsync": policy}
    async with durable(disk, settings) as broker:
        client = await broker.client()
        await client.call("SET before 1")
        with disk.stopped(let_through):
            await client.call("BGREWRITEAOF")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            assert await client.call("SET during 1") == b"+OK\r\n"
            assert set(await contents(SimulatedDisk(disk.files()), settings)) == {b"before", b"during"}


@pytest.mark.parametrize("policy", ["everysec", "no"])
async def test_where_a_rewrite_changes_files_a_reply_waits_until_its_write_can_be_written(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SYNC_SECONDS", 3600)
    disk = SlowDisk()
    settings = {**APPENDONLY, "appendfsync": policy}
    async with durable(disk, settings) as broker:
        writer, reader = await broker.client(), await broker.client()
        await writer.call("SET before 1")
        with disk.stopped(3):  # the manifest, what is in the present file, the base
            await reader.call("BGREWRITEAOF")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            await writer.send("SET between 1")
            while await reader.call("EXISTS between") == b":0\r\n":
                pass
            assert reads_nothing(writer)
        assert await writer.receive() == b"+OK\r\n"
        assert set(await contents(SimulatedDisk(disk.files()), settings)) == {b"before", b"between"}


async def test_with_always_what_needs_no_sync_for_now_is_written_before_it_is_answered() -> None:
    disk = SlowDisk()
    settings = {**ALWAYS, "no-appendfsync-on-rewrite": "yes"}
    async with durable(disk, settings) as broker:
        client, other = await broker.client(), await broker.client()
        with disk.stopped():
            await other.send("SET k v")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            broker.broker.persistence.background._child = InPlace(lambda progress: None)
            await client.call("SET a 1")
            assert await client.call("SET b 1") == b"+OK\r\n"
            assert set(await contents(SimulatedDisk(disk.files()), settings)) == {b"k", b"a", b"b"}
            broker.broker.persistence.background._child = None


async def test_without_syncs_nothing_is_acknowledged(autojump_clock: trio.testing.MockClock) -> None:
    async with durable(SimulatedDisk(), {**APPENDONLY, "appendfsync": "no"}) as broker:
        client = await broker.client()
        assert await client.call("WAITAOF 1 0 5000") == b"*2\r\n:1\r\n:0\r\n"  # has written nothing
        await client.call("SET k v")
        assert await client.call("WAITAOF 1 0 5000") == b"*2\r\n:0\r\n:0\r\n"


async def test_the_policy_may_change_while_clients_wait() -> None:
    disk = SlowDisk()
    async with durable(disk, ALWAYS) as broker:
        writer, other = await broker.client(), await broker.client()
        with disk.stopped():
            await writer.send("SET k v")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            await other.send("CONFIG SET appendfsync everysec")
            assert await other.receive() == b"+OK\r\n"
            assert await writer.receive() == b"+OK\r\n"


async def test_timestamps_are_annotations(broker_file: SimulatedDisk) -> None:
    assert broker_file.files()[INCREMENT].startswith(b"#TS:")


@pytest.fixture
async def broker_file() -> SimulatedDisk:
    disk = SimulatedDisk()
    async with durable(disk, {**APPENDONLY, "aof-timestamp-enabled": "yes"}) as broker:
        await write(broker)
    return disk


async def write(broker: Broker) -> None:
    client = await broker.client()
    await client.call("SET k v")


@pytest.mark.parametrize("policy", ["everysec", "no", "always"])
async def test_where_the_present_file_cannot_be_synced_at_a_change_who_waits_is_disconnected(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SYNC_SECONDS", 3600)
    disk = SlowDisk()
    async with durable(disk, {**APPENDONLY, "appendfsync": policy}) as broker:
        writer, reader = await broker.client(), await broker.client()
        await writer.call("SET before 1")
        # The manifest, with some policies what is in the present file, the base.
        with disk.stopped(2 if policy == "always" else 3):
            await reader.call("BGREWRITEAOF")
            assert await trio.to_thread.run_sync(disk.syncing.wait, 10)
            await writer.send("SET between 1")
            while await reader.call("EXISTS between") == b":0\r\n":
                pass
            assert reads_nothing(writer)
            disk.fail(0, errno.EIO)
        with trio.fail_after(5):
            assert await writer.receive() == b""
        assert await reader.call("SET refused 1") == BROKEN


async def test_what_was_written_in_the_tick_that_learns_of_a_failed_sync_is_not_answered() -> None:
    async with durable(SlowDisk(), ALWAYS) as broker:
        writer, reader = await broker.client(), await broker.client()
        await writer.call("SET before 1")
        await reader.call("PING")
        journal = broker.broker.persistence.journal
        end_tick = journal.end_tick

        def fail_and_end() -> None:
            if journal.sync_error is None and broker.broker.keyspace.databases[0].data.get(b"k"):
                journal._synced(0, OSError(errno.EIO, "Input/output error"))
                journal._notify_progress()
            end_tick()

        with mock.patch.object(journal, "end_tick", fail_and_end):
            await writer.send("SET k v")
            assert await writer.receive() == b""
        assert await reader.call("GET k") == b"$1\r\nv\r\n"
        assert await reader.call("SET refused 1") == BROKEN
