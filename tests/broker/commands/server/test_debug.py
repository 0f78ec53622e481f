"""DEBUG. Replies are compared in tests/oracle."""

from pathlib import Path

from tests.broker.inprocess import running


async def test_it_is_off_by_default() -> None:
    async with running() as broker:
        client = await broker.client()
        assert (await client.call("DEBUG SLEEP 0")).startswith(b"-ERR DEBUG command not allowed. If the enable-debug")


async def test_local_clients_may_be_allowed() -> None:
    async with running({"enable-debug-command": "local"}) as broker:
        client = await broker.client()
        assert await client.call("DEBUG SLEEP 0") == b"+OK\r\n"
        assert await client.call("DEBUG SLEEP -1") == b"+OK\r\n"
        assert await client.call("DEBUG SLEEP nonsense") == b"+OK\r\n"


async def test_active_expiry_is_switched() -> None:
    async with running({"enable-debug-command": "yes"}) as broker:
        client = await broker.client()
        await client.call("DEBUG SET-ACTIVE-EXPIRE 0")
        assert not broker.broker.keyspace.active_expiry
        await client.call("DEBUG SET-ACTIVE-EXPIRE 1")
        assert broker.broker.keyspace.active_expiry


async def test_populate_keeps_what_is_there() -> None:
    async with running({"enable-debug-command": "yes"}) as broker:
        client = await broker.client()
        await client.call("SET key:1 mine")
        assert await client.call("DEBUG POPULATE 3") == b"+OK\r\n"
        assert sorted(broker.broker.keyspace.databases[0].data) == [b"key:0", b"key:1", b"key:2"]
        assert await client.call("GET key:1") == b"$4\r\nmine\r\n"


async def test_help_and_object() -> None:
    async with running({"enable-debug-command": "yes"}) as broker:
        client = await broker.client()
        assert b"+SLEEP <seconds>\r\n" in await client.call("DEBUG HELP")
        await client.call("SET k v")
        assert b" refcount:1 encoding:embstr serializedlength:2 lru:" in await client.call("DEBUG OBJECT k")


async def test_reloading_keeps_all_data_and_breaks_watches(tmp_path: Path) -> None:
    async with running({"enable-debug-command": "yes", "dir": str(tmp_path)}) as broker:
        client, other = await broker.client(), await broker.client()
        for command in ("SET k v", "SET soon v PX 1000000", "RPUSH l a b", "WATCH k", "MULTI", "GET k"):
            await client.call(command)
        await other.call("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")
        assert await other.call("DEBUG RELOAD") == b"+OK\r\n"
        assert await client.call("EXEC") == b"*-1\r\n"
        assert await client.call("LRANGE l 0 -1") == b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"
        assert await client.call("FCALL f 0") == b":1\r\n"
        assert (await client.call("PTTL soon")).startswith(b":9")


async def test_a_reload_that_fails_says_so(tmp_path: Path) -> None:
    failed = b"-ERR Error trying to load the RDB dump, check server logs.\r\n"
    async with running({"enable-debug-command": "yes", "dir": str(tmp_path)}) as broker:
        client = await broker.client()
        await client.call("SET k v")
        assert await client.call("DEBUG RELOAD NOSAVE") == failed  # there is no file yet
        assert await client.call("GET k") == b"$1\r\nv\r\n"
        assert await client.call("DEBUG RELOAD NOFLUSH") == failed  # the keys are there already
        assert await client.call("DEBUG RELOAD NOFLUSH MERGE") == b"+OK\r\n"
        (tmp_path / "dump.rdb").write_bytes(b"junk")
        assert await client.call("DEBUG RELOAD NOSAVE") == failed
