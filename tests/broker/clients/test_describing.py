"""The lines of CLIENT LIST."""

from broker.clients.describing import client_line, client_type
from tests.broker.inprocess import running


def fields(line: bytes) -> dict[bytes, bytes]:
    return dict(field.split(b"=", 1) for field in line.split(b" "))  # type: ignore[misc]


async def test_a_new_client() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("PING")
        (session,) = broker.broker.sessions.values()
        found = fields(client_line(session))
        assert found[b"id"] == b"1"
        assert found[b"cmd"] == b"ping"
        assert found[b"flags"] == b"N"
        assert found[b"multi"] == b"-1"
        assert found[b"resp"] == b"2"
        assert client_type(session) == "normal"


async def test_states_show_as_flags() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("HELLO 3")
        await client.call("SUBSCRIBE a")
        await client.call("MULTI")
        await client.call("ECHO x")
        (session,) = broker.broker.sessions.values()
        found = fields(client_line(session))
        assert found[b"flags"] == b"Px"
        assert found[b"multi"] == b"1"
        assert int(found[b"multi-mem"]) > 0
        assert found[b"tot-cmds"] == b"3", "what is only queued is not counted"
        assert found[b"sub"] == b"1"
        assert client_type(session) == "pubsub"


async def test_the_running_command_is_named() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("PING")
        (session,) = broker.broker.sessions.values()
        assert fields(client_line(session, b"client|info"))[b"cmd"] == b"client|info"
