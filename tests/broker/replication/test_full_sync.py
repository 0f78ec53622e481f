"""Full synchronizations: who gets which snapshot when, and what follows it."""

import random
from pathlib import Path

import pytest
import trio

from broker.replication.full_sync import PAUSE_SECONDS
from tests.broker.encrypted import serving
from tests.broker.inprocess import Broker, running
from tests.broker.replication.followers import Follower, follower
from tests.certificates import Certificates

AT_ONCE = {"repl-diskless-sync-delay": "0"}
SELECT = [b"SELECT", b"0"]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def replicas_asking(broker: Broker, count: int) -> None:
    while len(broker.broker.replicas.by_session) < count:
        await trio.testing.wait_all_tasks_blocked()


async def test_the_stream_follows_the_snapshot() -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        await client.call("SET before 1")
        replica = await follower(broker)
        sync = await replica.synchronize()
        assert sync.id == broker.broker.history.id
        assert sync.offset == 0
        assert b"before" in sync.snapshot
        await client.call("SET after 2")
        await replica.expect(SELECT, [b"SET", b"after", b"2"])


async def test_it_continues_where_it_was() -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        replica = await follower(broker)
        sync = await replica.synchronize()
        await client.call("SET a 1")
        await replica.expect(SELECT, [b"SET", b"a", b"1"])
        offset = broker.broker.history.offset
        await replica.stream.aclose()
        await client.call("SET b 1")
        again = await follower(broker)
        answer = await again.synchronize(sync.id, offset + 1)
        assert answer.line == b"+CONTINUE " + sync.id.encode()
        await again.expect([b"SET", b"b", b"1"])
        assert "sync_full:1\r\nsync_partial_ok:1\r\nsync_partial_err:0" in await client.text("INFO stats")


@pytest.mark.parametrize(("id", "offset"), [("f" * 40, 1), ("own", 10_000)])
async def test_what_it_can_not_continue_begins_with_a_snapshot(id: str, offset: int) -> None:
    async with running(AT_ONCE) as broker:
        await (await follower(broker)).synchronize()
        second = await follower(broker)
        sync = await second.synchronize(broker.broker.history.id if id == "own" else id, offset)
        assert sync.line.startswith(b"+FULLRESYNC")
        syncs = broker.broker.full_syncs
        assert (syncs.count, syncs.continued, syncs.refused) == (2, 0, 1)


async def test_without_psync2_it_is_not_told_the_id() -> None:
    async with running(AT_ONCE) as broker:
        await (await follower(broker)).synchronize()
        old = await follower(broker)
        history = broker.broker.history
        assert await old.call("PSYNC", history.id, history.offset + 1) == b"+CONTINUE"


async def test_sync_gets_no_line_and_reports_nothing() -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        replica = await follower(broker)
        line = await replica.call("SYNC")
        assert line.startswith(b"$")
        while len(replica.buffer) < int(line[1:]):
            await replica._more()
        del replica.buffer[: int(line[1:])]
        await client.call("SET a 1")
        await replica.expect(SELECT, [b"SET", b"a", b"1"])


async def test_all_that_ask_before_the_fork_share_a_snapshot(autojump_clock: trio.testing.MockClock) -> None:
    async with running({"repl-diskless-sync-delay": "5"}) as broker:
        client = await broker.client()
        asked = trio.current_time()
        async with trio.open_nursery() as nursery:
            for replica in [await follower(broker) for _ in range(3)]:
                nursery.start_soon(replica.synchronize)
        assert trio.current_time() - asked >= 5
        assert broker.broker.persistence.background.forks == 1
        assert "connected_slaves:3" in await client.text("INFO replication")


async def test_enough_replicas_are_not_kept_waiting(autojump_clock: trio.testing.MockClock) -> None:
    async with running({"repl-diskless-sync-delay": "10000000", "repl-diskless-sync-max-replicas": "2"}) as broker:
        asked = trio.current_time()
        async with trio.open_nursery() as nursery:
            for replica in [await follower(broker) for _ in range(2)]:
                nursery.start_soon(replica.synchronize)
        assert trio.current_time() - asked < 10_000_000


async def test_with_a_file_nobody_waits_for_others(autojump_clock: trio.testing.MockClock) -> None:
    async with running({"repl-diskless-sync-delay": "10000000", "repl-diskless-sync": "no"}) as broker:
        asked = trio.current_time()
        await (await follower(broker)).synchronize()
        assert trio.current_time() - asked < 10_000_000


async def test_line_breaks_while_it_waits(autojump_clock: trio.testing.MockClock) -> None:
    async with running({"repl-diskless-sync-delay": "5"}) as broker:
        replica = await follower(broker)
        await replica.synchronize()
        assert replica.line_breaks >= 4


async def test_whoever_joins_is_told_the_database() -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        first = await follower(broker)
        await first.synchronize()
        await client.call("SET a 1")
        second = await follower(broker)
        await second.synchronize()
        await client.call("SET b 1")
        await first.expect(SELECT, [b"SET", b"a", b"1"], SELECT, [b"SET", b"b", b"1"])
        await second.expect(SELECT, [b"SET", b"b", b"1"])


async def test_writes_during_the_snapshot_follow_it(autojump_clock: trio.testing.MockClock) -> None:
    async with running({"repl-diskless-sync": "no", "rdb-key-save-delay": "1000"}) as broker:
        client = await broker.client()
        await client.call("SET a 1")
        replica = await follower(broker)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(replica.synchronize)
            await replicas_asking(broker, 1)
            while not broker.broker.full_syncs.running:
                await trio.sleep(0.01)
            await client.call("SET b 1")
        await replica.expect(SELECT, [b"SET", b"b", b"1"])


async def test_a_replica_that_leaves_before_its_snapshot_is_forgotten() -> None:
    async with running(AT_ONCE) as broker:
        replica = await follower(broker)
        await replica.stream.send_all(b"PSYNC ? -1\r\n")
        await replicas_asking(broker, 1)
        await replica.stream.aclose()
        await (await follower(broker)).synchronize()
        await trio.testing.wait_all_tasks_blocked()
        assert len(broker.broker.replicas.by_session) == 1


async def test_a_request_that_would_be_answered_ends_the_connection() -> None:
    async with running(AT_ONCE) as broker:
        replica = await follower(broker)
        await replica.synchronize()
        await replica.stream.send_all(b"PSYNC ? -1\r\nREPLCONF ACK 0\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        assert len(broker.broker.replicas.by_session) == 1
        await replica.stream.send_all(b"GET a\r\n")
        assert await replica.closed()


async def test_unsent_output_is_limited() -> None:
    async with running({**AT_ONCE, "client-output-buffer-limit": "replica 1mb 0 0"}) as broker:
        client = await broker.client()
        replica = await follower(broker)
        await replica.synchronize()
        for _ in range(8):
            await client.call("SET", "a", bytes(1 << 20))
        assert not broker.broker.replicas.by_session
        assert broker.broker.stats.output_limit_closes == 1


async def test_what_valkey_can_not_read_makes_it_wait(autojump_clock: trio.testing.MockClock) -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        await client.call("XADD s IDMP producer 1 * a 1")
        replica = await follower(broker)
        asked = trio.current_time()
        assert await replica.call("REPLCONF", "version", "9.1.0", "listening-port", 7001) == b"+OK"
        assert (await replica.call("PSYNC", "?", -1)).startswith(b"+FULLRESYNC")
        assert await replica.closed()
        again = await follower(broker)
        await again.call("REPLCONF", "version", "9.1.0", "listening-port", 7001)
        await client.call("DEL s")
        assert (await again.call("PSYNC", "?", -1)).startswith(b"+FULLRESYNC")
        assert trio.current_time() - asked >= PAUSE_SECONDS[0]


async def test_valkey_gets_deadlines_of_fields_in_its_own_form() -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        await client.call("HSETEX h EX 1000 FIELDS 1 f v")
        theirs = await (await follower(broker)).synchronize("?", -1, "version", "9.1.0")
        assert theirs.snapshot.startswith(b"VALKEY080")
        assert (await (await follower(broker)).synchronize()).snapshot.startswith(b"REDIS0012")


async def test_one_that_can_not_load_its_snapshot_has_to_wait(autojump_clock: trio.testing.MockClock) -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        await client.call("HSETEX h EX 100000 FIELDS 1 f v")
        replica = await follower(broker)
        await replica.synchronize()
        await replica.stream.aclose()
        await trio.sleep(2)
        asked = trio.current_time()
        await (await follower(broker)).synchronize()
        assert trio.current_time() - asked >= PAUSE_SECONDS[0] - 2


async def test_one_that_never_asks_again_is_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        await client.call("HSETEX h EX 100000 FIELDS 1 f v")
        replica = await follower(broker)
        await replica.synchronize()
        await replica.stream.aclose()
        await trio.sleep(2)
        assert broker.broker.full_syncs._failures
        await trio.sleep(PAUSE_SECONDS[0] + PAUSE_SECONDS[-1] + 2)
        assert not broker.broker.full_syncs._failures


async def test_one_that_follows_after_its_snapshot_need_not_wait(autojump_clock: trio.testing.MockClock) -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        await client.call("HSETEX h EX 100000 FIELDS 1 f v")
        replica = await follower(broker)
        await replica.synchronize()
        await replica.acknowledge(0)
        await trio.sleep(2)
        assert not broker.broker.full_syncs._doubtful
        await replica.stream.aclose()
        await trio.sleep(2)
        assert not broker.broker.full_syncs._failures


async def test_a_tls_connection_gets_the_snapshot_encrypted(certificates: Certificates) -> None:
    async with serving(certificates, repl_diskless_sync_delay="0") as encrypted:
        client = await encrypted.connect()
        value = random.Random(1).randbytes(3 << 20)
        await client.call("SET", "large", value)
        replica = Follower((await encrypted.connect()).stream)
        sync = await replica.synchronize()
        assert value in sync.snapshot
        await client.call("SET a 1")
        await replica.expect(SELECT, [b"SET", b"a", b"1"])
