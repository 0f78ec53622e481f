"""INFO's text."""

from broker.commands.server.info_sections import DEFAULT_SECTIONS, SECTIONS, info_text
from tests.broker.inprocess import running


def titles(text: bytes) -> list[bytes]:
    return [line[2:] for line in text.split(b"\r\n") if line.startswith(b"# ")]


def fields(text: bytes) -> dict[str, str]:
    return {
        name: value for name, found, value in (line.partition(":") for line in text.decode().split("\r\n")) if found
    }


async def test_sections_are_chosen_by_name_in_any_case() -> None:
    async with running() as broker:
        part = broker.broker
        assert titles(info_text(part, ["CLIENTS", "server", "nonsense"])) == [b"Server", b"Clients"]
        assert info_text(part, ["nonsense"]) == b""
        assert len(titles(info_text(part, []))) == len(DEFAULT_SECTIONS)
        assert titles(info_text(part, ["default", "commandstats"])) != titles(info_text(part, []))
        for name in ("all", "everything"):
            assert len(titles(info_text(part, [name]))) == len(SECTIONS)


async def test_every_line_is_a_field() -> None:
    async with running({"unixsocket": ""}) as broker:
        client = await broker.client()
        for command in ("SET k v EX 100", "GET", "NOTHING", "SUBSCRIBE x"):
            await client.call(command)
        broker.broker.stats.count_error(b"A#B:C x")
        for line in info_text(broker.broker, ["all"]).split(b"\r\n"):
            assert not line or line.startswith(b"# ") or line.count(b":") >= 1
        assert b"errorstat_A_B_C:count=1\r\n" in info_text(broker.broker, ["errorstats"])


async def test_scripts_and_functions() -> None:
    library = "#!lua name=x\nredis.register_function('f', print) redis.register_function('g', print)"
    async with running() as broker:
        client = await broker.client()
        before = fields(info_text(broker.broker, ["all"]))
        assert {before[name] for name in before if name.startswith("number_of_")} == {"0"}
        assert (before["used_memory_vm_total"], before["evicted_scripts"]) == ("0", "0")
        await client.call("EVAL", "return 1", "0")
        await client.call("FUNCTION", "LOAD", library.replace("print", "function() end"))
        after = fields(info_text(broker.broker, ["all"]))
        assert (after["number_of_cached_scripts"], after["number_of_libraries"], after["number_of_functions"]) == (
            "1", "1", "2",
        )  # fmt: skip
        assert int(after["used_memory_vm_total"]) == int(after["used_memory_vm_eval"]) + int(
            after["used_memory_vm_functions"]
        )
        assert int(after["used_memory_scripts"]) > 100
        told = await client.call("MEMORY STATS")
        assert all(name in told for name in (b"lua.caches", b"functions.caches", b"script.VMs"))


async def test_counts() -> None:
    async with running() as broker:
        client = await broker.client()
        for command in ("SET k v", "GET k", "GET missing", "GET missing"):
            await client.call(command)
        text = info_text(broker.broker, ["all"])
        assert b"keyspace_hits:1\r\nkeyspace_misses:2\r\n" in text
        assert b"cmdstat_get:calls=3," in text
        assert b"db0:keys=1,expires=0,avg_ttl=0" in text
        assert b"connected_clients:1\r\n" in text
        assert b"rdb_changes_since_last_save:1\r\n" in text
