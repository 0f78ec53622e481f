"""COMMAND. What it says of each command is compared in tests/oracle/test_command_table.py."""

from broker.commands.server.command import _legacy_range
from broker.table.command import KeySpec
from tests.broker.inprocess import running


async def test_count_and_list_agree() -> None:
    async with running() as broker:
        client = await broker.client()
        table = broker.broker.commands
        assert await client.call("COMMAND COUNT") == b":%d\r\n" % len(table.by_name)
        assert (await client.call("COMMAND LIST")).startswith(b"*%d\r\n" % len(list(table)))
        assert await client.call("COMMAND LIST FILTERBY PATTERN echo") == b"*1\r\n$4\r\necho\r\n"
        assert b"$4\r\necho\r\n" in await client.call("COMMAND LIST FILTERBY ACLCAT CONNECTION")


async def test_all_of_the_table_encodes_in_both_versions() -> None:
    async with running() as broker:
        client = await broker.client()
        count = len(broker.broker.commands.by_name)
        for header in (b"*%d\r\n", b"%%%d\r\n"):
            assert (await client.call("COMMAND")).startswith(b"*%d\r\n" % count)
            assert (await client.call("COMMAND INFO")).startswith(b"*%d\r\n" % count)
            expected = header % (2 * count if header[:1] == b"*" else count)
            assert (await client.call("COMMAND DOCS")).startswith(expected)
            await client.call("HELLO 3")


async def test_a_renamed_command_is_found_by_its_new_name() -> None:
    from broker.config import Config
    from broker.process.log import Log
    from broker.server import Server

    config = Config()
    config.renamed_commands.append((b"ECHO", b"REPEAT"))
    table = Server(config, Log("nothing")).broker.commands
    assert table.find([b"echo", b"x"]) is None
    found = table.find([b"REPEAT", b"x"])
    assert found is not None and found.name == b"echo"


def test_key_ranges_of_older_clients() -> None:
    assert _legacy_range(()) == (0, 0, 0)
    assert _legacy_range((KeySpec((), index=1, last=-1, step=2),)) == (1, -1, 2)
    assert _legacy_range((KeySpec((), index=1), KeySpec((), index=2))) == (1, 2, 1)
    assert _legacy_range((KeySpec((), index=1), KeySpec((), index=2, last=-1))) == (1, -1, 1)
    assert _legacy_range((KeySpec((), keyword=b"STREAMS", last=-1),)) == (0, 0, 0)
    assert _legacy_range((KeySpec((), index=1), KeySpec((), index=3, counted=True))) == (1, 1, 1)
