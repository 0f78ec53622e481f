"""CONFIG: what changes, and the file. Replies are compared in tests/oracle."""

from pathlib import Path

from broker.process.log import Log
from tests.broker.inprocess import running


async def test_get_and_set() -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("CONFIG SET maxmemory 1kb hz 20") == b"+OK\r\n"
        assert (broker.config.maxmemory, broker.config.hz) == (1024, 20)
        assert await client.call("CONFIG GET maxmemory") == b"*2\r\n$9\r\nmaxmemory\r\n$4\r\n1024\r\n"
        await client.call("HELLO 3")
        assert await client.call("CONFIG GET hz") == b"%1\r\n$2\r\nhz\r\n$2\r\n20\r\n"


async def test_rewrite(tmp_path: Path) -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("CONFIG REWRITE") == b"-ERR The server is running without a config file\r\n"
        path = tmp_path / "redis.conf"
        path.write_text("# mine\nhz 10\n")
        broker.config.file = str(path)
        await client.call("CONFIG SET hz 20")
        assert await client.call("CONFIG REWRITE") == b"+OK\r\n"
        assert path.read_text().startswith("# mine\nhz 20\n")
        broker.config.file = str(tmp_path / "none" / "redis.conf")
        assert await client.call("CONFIG REWRITE") == b"-ERR Rewriting config file: No such file or directory\r\n"


async def test_setting_what_has_no_effect_is_noted_in_the_log(tmp_path: Path) -> None:
    async with running() as broker:
        client = await broker.client()
        broker.broker.log = Log(path=str(tmp_path / "log"))
        assert await client.call("CONFIG SET list-compress-depth 7 slave-priority 5 hz 20") == b"+OK\r\n"
        (line,) = (tmp_path / "log").read_text().splitlines()
        assert line.endswith('directives without effect here names="list-compress-depth replica-priority"')
        assert await client.call("CONFIG SET list-compress-depth 0 hz 10") == b"+OK\r\n"
        assert len((tmp_path / "log").read_text().splitlines()) == 1


async def test_resetstat() -> None:
    async with running() as broker:
        client = await broker.client()
        for command in ("GET k", "GET", "NOTHING"):
            await client.call(command)
        assert broker.broker.stats.errors
        assert broker.broker.keyspace.misses == 1
        await client.call("CONFIG RESETSTAT")
        assert not broker.broker.stats.errors
        assert broker.broker.keyspace.misses == 0
        found = broker.broker.commands.find([b"GET"])
        assert found is not None
        assert (found.calls, found.rejected) == (0, 0)


async def test_resetstat_counts_saves_and_forks_anew() -> None:
    async with running() as broker:
        client = await broker.client()
        persistence = broker.broker.persistence
        broker.broker.keyspace.expired_fields = 1
        persistence.background.forks, persistence.background.fork_seconds = 2, 0.1
        persistence.snapshots.saves = persistence.snapshots.failures = 3
        persistence.rewrites.count = persistence.rewrites.failures = 4
        persistence.journal.delayed_syncs = 5
        await client.call("CONFIG RESETSTAT")
        text = await client.text("INFO everything")
        for field in ("expired_subkeys", "total_forks", "latest_fork_usec", "rdb_saves", "aof_rewrites",
                      "rdb_saves_consecutive_failures", "aof_rewrites_consecutive_failures"):  # fmt: skip
            assert f"\r\n{field}:0\r\n" in text
        assert not persistence.journal.delayed_syncs


async def test_protected_directives_ask_where_the_client_is() -> None:
    async with running() as broker:
        client = await broker.client()
        assert b"can't set protected config" in await client.call("CONFIG SET dbfilename x")
        broker.config.enable_protected_configs = "local"
        assert await client.call("CONFIG SET dbfilename x") == b"+OK\r\n"
