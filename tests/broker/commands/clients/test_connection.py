"""AUTH, HELLO, PING, QUIT, RESET, SELECT: what the session is left with. Replies are compared in tests/oracle."""

from broker.clients.session import UNAUTHENTICATED
from tests.broker.inprocess import running


async def test_ping_and_echo() -> None:
    async with running() as broker:
        client = await broker.client()
        assert await client.call("PING") == b"+PONG\r\n"
        assert await client.call("PING", "x") == b"$1\r\nx\r\n"
        assert await client.call("ECHO", b"\r\n") == b"$2\r\n\r\n\r\n"


async def test_select_moves_the_session() -> None:
    async with running({"databases": "4"}) as broker:
        client = await broker.client()
        assert await client.call("SELECT 3") == b"+OK\r\n"
        assert await client.call("SELECT 4") == b"-ERR DB index is out of range\r\n"
        (session,) = broker.broker.sessions.values()
        assert session.db.index == 3


async def test_hello_changes_nothing_unless_all_of_it_is_right() -> None:
    async with running() as broker:
        client = await broker.client()
        for words in (["HELLO", "3", "SETNAME", "a b"], ["HELLO", "3", "SETNAME", "x", "AUTH", "nobody", "y"]):
            assert (await client.call(*words)).startswith(b"-")
        (session,) = broker.broker.sessions.values()
        assert (session.resp.version, session.name) == (2, b"")
        assert (await client.call("HELLO 3 SETNAME x")).startswith(b"%7\r\n")
        assert (session.resp.version, session.name) == (3, b"x")


async def test_a_password_and_its_gate() -> None:
    async with running({"requirepass": "secret"}) as broker:
        client = await broker.client()
        assert await client.call("GET k") == b"-NOAUTH Authentication required.\r\n"
        assert (await client.call("AUTH wrong")).startswith(b"-WRONGPASS ")
        assert (await client.call("HELLO 3")).startswith(b"-NOAUTH HELLO must be called")
        assert await client.call("AUTH secret") == b"+OK\r\n"
        (session,) = broker.broker.sessions.values()
        assert not session.flags & UNAUTHENTICATED
        assert await client.call("GET k") == b"$-1\r\n"
        assert await client.call("RESET") == b"+RESET\r\n"
        assert session.flags & UNAUTHENTICATED
        assert (await client.call("HELLO 3 AUTH default secret")).startswith(b"%7\r\n")


async def test_a_password_set_later_leaves_those_inside() -> None:
    async with running() as broker:
        inside = await broker.client()
        await inside.call("CONFIG SET requirepass secret")
        assert await inside.call("PING") == b"+PONG\r\n"
        outside = await broker.client()
        assert (await outside.call("PING")).startswith(b"-NOAUTH")


async def test_reset_forgets_everything_but_the_library() -> None:
    async with running() as broker:
        client = await broker.client()
        for command in ("HELLO 3", "SELECT 2", "CLIENT SETNAME x", "CLIENT SETINFO LIB-NAME lib", "CLIENT NO-EVICT ON"):
            await client.call(command)
        await client.call("WATCH k")
        await client.call("MULTI")
        assert await client.call("RESET") == b"+RESET\r\n"
        (session,) = broker.broker.sessions.values()
        assert (session.resp.version, session.db.index, session.name, session.lib_name) == (2, 0, b"", b"lib")
        assert (session.queued, session.flags, session.no_evict, session.watched) == (None, 0, False, {})


async def test_quit_answers_and_closes() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.send("QUIT")
        await client.send("PING")
        assert await client.receive() == b"+OK\r\n"
        assert await client.receive() == b""
