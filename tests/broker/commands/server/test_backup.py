"""BACKUP's replies in both protocols; what it does is tested with broker/persistence and beside Redis."""

from tests.broker.persistence.durable import APPENDONLY, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.broker.persistence.test_backup import ended, sealed
from tests.oracle.wire import parse


async def test_the_status_is_a_map_and_the_list_is_of_absolute_paths() -> None:
    async with durable(SimulatedDisk(), APPENDONLY) as broker:
        client = await broker.client()
        assert await client.call("BACKUP LIST") == b"*0\r\n"
        assert await sealed(broker, client) == b"+OK\r\n"
        await client.call("HELLO 3")
        status = parse(await client.call("BACKUP STATUS"))
        assert status.kind == "%"
        texts = [item.text for item in status.items]
        assert texts[:4] == [b"state", b"sealed", b"error", b""]
        assert texts[4::2] == [b"start_time", b"end_time"] and 0 < int(texts[5]) <= int(texts[7])
        files = [item.text for item in parse(await client.call("BACKUP LIST")).items]
        assert files == [
            b"/backupdir/appendonly.aof.2.base.rdb",
            b"/backupdir/appendonly.aof.2.incr.aof",
            b"/backupdir/appendonly.aof.manifest",
        ]


async def test_info_names_a_backup_in_progress() -> None:
    async with durable(SimulatedDisk(), {"save": ""}) as broker:
        client = await broker.client()
        assert "backup_in_progress:0" in await client.text("INFO persistence")
        await client.call("BACKUP START")
        for _ in range(2):
            info = await client.text("INFO persistence")
            assert "backup_in_progress:1" in info and "aof_enabled:1" in info
            await ended(broker)
        await client.call("BACKUP SEAL")
        info = await client.text("INFO persistence")
        assert "backup_in_progress:0" in info and "aof_enabled:0" in info


async def test_help_names_each_subcommand() -> None:
    async with durable(SimulatedDisk()) as broker:
        client = await broker.client()
        lines = [item.text for item in parse(await client.call("BACKUP HELP")).items]
        assert {b"START", b"SEAL", b"ABORT", b"CLEANUP", b"STATUS", b"LIST", b"HELP"} <= set(lines)
