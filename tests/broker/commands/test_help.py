"""HELP is made from what is declared."""

from broker.table.command import DECLARED
from tests.broker.inprocess import running


async def test_help_lists_every_subcommand() -> None:
    async with running() as broker:
        client = await broker.client()
        reply = await client.call("CLIENT HELP")
        assert reply.startswith(b"*")
        lines = [line[1:] for line in reply.split(b"\r\n")[1:-1]]
        assert lines[0] == b"CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
        assert lines[-2:] == [b"HELP", b"    Prints this help."]
        for name in DECLARED:
            outer, bar, inner = name.partition(b"|")
            if outer == b"client" and bar:
                assert any(line.split(b" ")[0] == inner.upper() for line in lines)
        assert b"SETNAME <name>" in lines
        assert int(reply[1 : reply.index(b"\r")]) == len(lines)
