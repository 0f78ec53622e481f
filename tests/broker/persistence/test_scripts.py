"""Scripts and functions in the files: a script's writes are one transaction, libraries come back."""

import re

import pytest

from tests.broker.inprocess import Broker, Client
from tests.broker.persistence.durable import APPENDONLY, INCREMENT, contents, durable
from tests.broker.persistence.simulated_disk import SimulatedDisk
from tests.broker.persistence.test_persistence import idle
from tests.oracle.wire import encode

ALWAYS = {**APPENDONLY, "appendfsync": "always"}
LIBRARY = "#!lua name=%s\nredis.register_function('%s', function() return redis.call('RPUSH', 'l', 'x') end)"


async def filed(disk: SimulatedDisk, *scripts: str) -> bytes:
    """The commands in the append-only file after the scripts, without the first SELECT."""
    async with durable(disk, ALWAYS) as broker:
        client = await broker.client()
        for script in scripts:
            await client.call("EVAL", script, "0")
    text = disk.files()[INCREMENT]
    selecting = encode(["SELECT", "0"])
    assert selecting in text
    return re.sub(rb"#[^\r]*\r\n", b"", text.replace(selecting, b""))


def written(*commands: list[str]) -> bytes:
    return b"".join(encode(command) for command in commands)


async def test_a_scripts_writes_are_one_transaction() -> None:
    script = "redis.call('SET', 'a', 1) redis.call('GET', 'a') redis.call('INCR', 'a') return 1"
    expected = written(["MULTI"], ["SET", "a", "1"], ["INCR", "a"], ["EXEC"])
    assert await filed(SimulatedDisk(), script) == expected


async def test_a_single_write_stands_for_itself_and_what_only_reads_leaves_nothing() -> None:
    scripts = ["return redis.call('GET', 'a')", "redis.call('SET', 'a', 1) redis.call('GET', 'a')", "return 1"]
    assert await filed(SimulatedDisk(), *scripts) == written(["SET", "a", "1"])


async def test_what_set_repl_keeps_back_is_not_in_the_file() -> None:
    script = (
        "redis.set_repl(redis.REPL_REPLICA) redis.call('SET', 'a', 1)"
        " redis.set_repl(redis.REPL_AOF) redis.call('SET', 'b', 1)"
    )
    assert await filed(SimulatedDisk(), script) == written(["SET", "b", "1"])


async def test_a_script_that_fails_half_way_keeps_its_writes() -> None:
    disk = SimulatedDisk()
    script = (
        "redis.call('SET', 'a', 1) redis.call('RPUSH', 'l', 'x', 'y') redis.call('INCR', 'l') redis.call('DEL', 'a')"
    )
    expected = written(["MULTI"], ["SET", "a", "1"], ["RPUSH", "l", "x", "y"], ["EXEC"])
    assert await filed(disk, script) == expected
    assert await contents(disk) == {b"a": b"1", b"l": [b"x", b"y"]}


async def test_a_script_that_was_cut_off_has_not_been() -> None:
    disk = SimulatedDisk()
    await filed(disk, "redis.call('SET', 'a', 1)", "redis.call('SET', 'b', 1) redis.call('SET', 'c', 1)")
    files = disk.files()
    files[INCREMENT] = files[INCREMENT][: files[INCREMENT].rindex(encode(["EXEC"])) + 5]
    assert await contents(SimulatedDisk(files)) == {b"a": b"1"}


async def calls(broker: Broker) -> list[bytes]:
    """The replies of the functions f, g and h."""
    client: Client = await broker.client()
    replies = [await client.call(f"FCALL {name} 0") for name in ("f", "g", "h")]
    await client.call("DEL l")
    return replies


@pytest.mark.parametrize("command", ["", "BGREWRITEAOF", "SAVE"])
@pytest.mark.parametrize("preamble", ["yes", "no"])
async def test_functions_survive(command: str, preamble: str) -> None:
    disk = SimulatedDisk()
    settings = {"save": "3600 1000"} if command == "SAVE" else {**ALWAYS, "aof-use-rdb-preamble": preamble}
    async with durable(disk, settings) as broker:
        client = await broker.client()
        for name in ("f", "g"):
            await client.call("FUNCTION", "LOAD", LIBRARY % (name, name))
        await client.call("FUNCTION", "LOAD", "REPLACE", LIBRARY % ("g", "h"))
        expected = await calls(broker)
        if command:
            assert not (await client.call(command)).startswith(b"-")
            await idle(broker)
    async with durable(disk, settings) as broker:
        assert await calls(broker) == expected
        assert broker.broker.functions.sources() == [(LIBRARY % (n, f)).encode() for n, f in (("f", "f"), ("g", "h"))]
    assert expected[0] == b":1\r\n" and expected[1].startswith(b"-ERR Function not found") and expected[2] == b":2\r\n"
