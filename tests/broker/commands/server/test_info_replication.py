"""INFO's section Replication, and ROLE, of a master. That their form is Redis's is compared in tests/oracle."""

import trio

from tests.broker.inprocess import Client, running
from tests.broker.replication.followers import follower

AT_ONCE = {"repl-diskless-sync-delay": "0", "repl-ping-replica-period": "100000"}


async def fields(client: Client) -> dict[str, str]:
    return dict(line.split(":", 1) for line in (await client.text("INFO replication")).splitlines() if ":" in line)


async def test_without_replicas_there_is_no_stream() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("SET a 1")
        shown = await fields(client)
        assert (shown["connected_slaves"], shown["master_repl_offset"]) == ("0", "0")
        assert (shown["repl_backlog_active"], shown["repl_backlog_first_byte_offset"]) == ("0", "0")
        assert await client.call("ROLE") == b"*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"


async def test_replicas_and_the_stream_are_shown() -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        replica = await follower(broker)
        sync = await replica.synchronize()
        # The offset includes what the same pipeline has written.
        await client.stream.send_all(b"SET a 1\r\nINFO replication\r\n")
        assert await client.receive() == b"+OK\r\n"
        stream = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
        assert b"master_repl_offset:%d\r\n" % len(stream) in await client.receive()
        await replica.acknowledge(len(stream))
        await trio.testing.wait_all_tasks_blocked()
        shown = await fields(client)
        assert shown["role"] == "master"
        line = f"ip=127.0.0.1,port=7000,state=online,offset={len(stream)},lag=0,io-thread=0"
        assert shown["slave0"] == line
        assert shown["master_replid"] == sync.id
        assert (shown["repl_backlog_first_byte_offset"], shown["repl_backlog_histlen"]) == ("1", str(len(stream)))
        role = b"*3\r\n$6\r\nmaster\r\n:%d\r\n*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n7000\r\n$2\r\n%d\r\n"
        assert await client.call("ROLE") == role % (len(stream), len(stream))


async def test_replicas_are_clients_of_their_own_kind() -> None:
    async with running(AT_ONCE) as broker:
        client = await broker.client()
        replica = await follower(broker)
        await replica.synchronize()
        assert "connected_clients:1\r\n" in await client.text("INFO clients")
        assert " flags=S " in await client.text("CLIENT LIST TYPE replica")
        assert await client.call("CLIENT KILL TYPE replica") == b":1\r\n"
        assert await replica.closed()
        assert (await fields(client))["connected_slaves"] == "0"
