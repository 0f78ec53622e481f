"""The tick: one send a client, order, fairness, clients that wait or go, and what a defect may cost."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from broker.clients.session import CLOSING, Session
from broker.process.poller import PEER_CLOSED
from broker.table.command import Command
from tests.broker.inprocess import Broker, Client, running
from tests.oracle.wire import encode
from tests.twins import needs_source


async def _closed(client: Client) -> bool:
    """Whether the broker ends the connection."""
    with trio.move_on_after(5):
        try:
            while await client.stream.receive_some():
                pass
        except trio.BrokenResourceError:
            return True
        return True
    return False


def follow(broker: Broker, hook: str, call: Callable[[], None]) -> None:
    """Have this called as well wherever the tick calls that function of the journal's."""
    journal = broker.server.persistence.journal
    original: Callable[[], None] = getattr(journal, hook)

    def both() -> None:
        original()
        call()

    setattr(journal, hook, both)


async def test_a_pipeline_is_answered_in_order() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.stream.send_all(b"".join(encode(["ECHO", number]) for number in range(1000)))
        assert [await client.receive() for _ in range(1000)] == [
            b"$%d\r\n%d\r\n" % (len(str(number)), number) for number in range(1000)
        ]


async def test_the_replies_of_a_tick_leave_with_one_send() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("PING")
        (connection,) = broker.server.tick.connections()
        sends: list[int] = []
        transmit = connection.transmit

        def counted(data: bytes | memoryview) -> int:
            sends.append(len(data))
            return transmit(data)

        connection.transmit = counted
        await client.stream.send_all(encode(["PING"]) * 100)
        for _ in range(100):
            await client.receive()
        assert sends == [700]


async def test_reads_pipelines_and_ticks_are_counted() -> None:
    async with running() as broker:
        client = await broker.client()
        stats = broker.broker.stats
        (session,) = broker.broker.sessions.values()
        await client.stream.send_all(encode(["PING"]) * 3 + b"*1\r\n")
        for _ in range(3):
            await client.receive()
        await client.stream.send_all(b"$4\r\nPI")
        await trio.testing.wait_all_tasks_blocked()
        await client.stream.send_all(b"NG\r\n")
        await client.receive()
        await trio.testing.wait_all_tasks_blocked()
        assert (session.reads, session.pipelines, session.parsed, session.commands) == (3, 2, 4, 4)
        assert (stats.reads, stats.pipelines, stats.requests) == (3, 2, 4)
        assert stats.busy_cycles == 3 <= stats.cycles
        assert session.transport.replies() == (0, 0, len(b"+PONG\r\n" * 3))


async def test_effects_are_handed_over_before_any_reply_leaves() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.call("PING")
        seen: list[str] = []
        broker.broker.keyspace.effects.sinks.append(lambda effects: seen.append("effect"))
        follow(broker, "end_tick", lambda: seen.append("journal"))
        (connection,) = broker.server.tick.connections()
        transmit = connection.transmit

        def noted(data: bytes | memoryview) -> int:
            seen.append("reply")
            return transmit(data)

        connection.transmit = noted
        await client.call("SET k v")
        assert seen[:3] == ["effect", "journal", "reply"]


async def test_a_descriptor_that_is_no_clients_is_watched() -> None:
    async with running() as broker:
        watches, client = broker.server.tick.watches, await broker.client()
        receiving, sending = os.pipe()
        seen: list[bytes] = []
        watches.watch(receiving, lambda: seen.append(os.read(receiving, 10)))
        os.write(sending, b"x")
        while not seen:
            await client.call("PING")
        watches.unwatch(receiving)
        os.write(sending, b"y")
        await client.call("PING")
        assert seen == [b"x"]
        os.close(receiving)
        os.close(sending)


async def test_a_client_with_too_many_replies_lets_others_in() -> None:
    async with running() as broker:
        greedy, modest = await broker.client(), await broker.client()
        await greedy.call("SET", "k", "x" * 200_000)
        await greedy.stream.send_all(encode(["GET", "k"]) * 200)
        assert await modest.call("PING") == b"+PONG\r\n"
        sizes = [len(await greedy.receive()) for _ in range(200)]
        assert sizes == [200_011] * 200
        assert await greedy.call("PING") == b"+PONG\r\n"


async def test_a_client_that_does_not_read_is_served_on_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.network.connection.UNSENT_MAX", 5_000_000)
    async with running() as broker:
        deaf, other = await broker.client(), await broker.client()
        await other.call("SET", "k", "x" * 500_000)
        await deaf.stream.send_all(encode(["GET", "k"]) * 100 + encode("BLPOP l 0") + encode("PING"))
        (connection,) = [one for one in broker.server.tick.connections() if one.session.id == 1]
        with trio.fail_after(60):
            while not connection.is_full():
                await trio.sleep(0)
        for _ in range(100):
            await other.call("PING")
        assert 5_000_000 <= connection.backlog.size < 7_000_000
        assert connection.waiting and not broker.broker.blocking.sessions
        # What it sends now stays in the kernel, a client's list shows what is kept, and it is resumed once it reads.
        await deaf.stream.send_all(encode("PING"))
        unsent = f"omem={connection.backlog.size} "
        assert unsent in await other.text("CLIENT LIST")
        for _ in range(100):
            assert len(await deaf.receive()) == 500_011
        assert await other.call("RPUSH l x") == b":1\r\n"
        assert await deaf.receive() == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n"
        assert [await deaf.receive() for _ in range(2)] == [b"+PONG\r\n"] * 2


async def test_messages_and_replies_of_a_client_that_does_not_read_stay_in_order() -> None:
    async with running() as broker:
        deaf, other = await broker.client(), await broker.client()
        await other.call("SET", "k", "x" * 500_000)
        await deaf.call("HELLO 3")
        await deaf.call("SUBSCRIBE news")
        await deaf.stream.send_all(encode("GET k") * 10)
        (connection,) = [one for one in broker.server.tick.connections() if one.session.id == 1]
        with trio.fail_after(60):
            while connection.session.commands < 12:
                await trio.sleep(0)
        assert connection.backlog.size > 1_000_000
        for number in range(100):
            assert await other.call("PUBLISH", "news", number) == b":1\r\n"
            await deaf.stream.send_all(encode(["ECHO", number]) + encode("CLIENT REPLY SKIP") + encode("PING"))
            while connection.session.commands < 12 + 3 * (number + 1):
                await trio.sleep(0)
        for _ in range(10):
            assert len(await deaf.receive()) == 500_011
        for number in range(100):
            assert (await deaf.receive()).endswith(b"\r\n%d\r\n" % number)
            assert await deaf.receive() == b"$%d\r\n%d\r\n" % (len(str(number)), number)


async def test_a_client_that_has_closed_its_side_gets_what_it_was_answered() -> None:
    async with running() as broker:
        client, other = await broker.client(), await broker.client()
        await other.call("SET", "k", "x" * 500_000)
        await client.stream.send_all(encode("GET k") * 20)
        assert isinstance(client.stream, trio.SocketStream)
        await client.stream.send_eof()
        for _ in range(20):
            await other.call("PING")
        for _ in range(20):
            assert len(await client.receive()) == 500_011
        assert await _closed(client)
        with trio.fail_after(60):
            while len(broker.broker.sessions) > 1:
                await trio.sleep(0)


async def test_a_client_that_waits_behind_unread_replies_and_goes_takes_nothing() -> None:
    async with running() as broker:
        waiting, other = await broker.client(), await broker.client()
        await other.call("SET", "k", "x" * 500_000)
        await waiting.stream.send_all(encode("GET k") * 20 + encode("BLPOP l 0"))
        with trio.fail_after(60):
            while not broker.broker.blocking.sessions:
                await trio.sleep(0)
        await waiting.stream.aclose()
        assert await other.call("RPUSH l x") == b":1\r\n"
        assert await other.call("LLEN l") == b":1\r\n"


async def test_closing_twice_spares_who_has_the_descriptor_now() -> None:
    """A client killed in the tick in which it hangs up, whose descriptor goes to a new client before the tick ends."""
    async with running() as broker:
        tick = broker.server.tick
        await broker.client()
        (old,) = tick.connections()
        tick.close(old)
        new = await broker.client()
        (connection,) = tick.connections()
        assert connection.fd == old.fd
        tick.close(old)
        assert await new.call("PING") == b"+PONG\r\n"


async def test_what_a_waiting_client_sent_behind_waits_too() -> None:
    async with running() as broker:
        waiting, other = await broker.client(), await broker.client()
        await waiting.stream.send_all(encode(["BLPOP", "l", "0"]) + encode(["SET", "k", "v"]) + encode(["GET", "k"]))
        await trio.testing.wait_all_tasks_blocked()
        assert await other.call("GET k") == b"$-1\r\n"
        assert await other.call("RPUSH l x") == b":1\r\n"
        assert await waiting.receive() == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n"
        assert await waiting.receive() == b"+OK\r\n"
        assert await waiting.receive() == b"$1\r\nv\r\n"


async def test_a_time_out() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.stream.send_all(encode(["BLPOP", "l", "0.01"]) + encode(["PING"]))
        assert await client.receive() == b"*-1\r\n"
        assert await client.receive() == b"+PONG\r\n"


async def test_a_client_that_waits_again_is_not_polled_for_what_it_sends() -> None:
    async with running() as broker:
        client, other = await broker.client(), await broker.client()
        await client.stream.send_all(encode(["BLPOP", "k", "0"]) * 2)
        await trio.testing.wait_all_tasks_blocked()
        await other.call("RPUSH k a")
        assert await client.receive() == b"*2\r\n$1\r\nk\r\n$1\r\na\r\n"
        connection = broker.server.tick.connections()[0]
        assert connection.session.waiting is not None
        await client.stream.send_all(encode(["PING"]))
        with trio.fail_after(60):
            await trio.testing.wait_all_tasks_blocked()
        assert connection.mask == PEER_CLOSED  # otherwise each poll would return at once
        await other.call("RPUSH k b")
        assert await client.receive() == b"*2\r\n$1\r\nk\r\n$1\r\nb\r\n"
        assert await client.receive() == b"+PONG\r\n"


async def test_a_waiting_client_that_goes_takes_nothing() -> None:
    async with running() as broker:
        waiting, other = await broker.client(), await broker.client()
        await waiting.send("BLPOP l 0")
        while not broker.broker.blocking.sessions:
            await trio.sleep(0)
        await waiting.stream.aclose()
        await other.stream.send_all(encode(["RPUSH", "l", "x"]))
        assert await other.receive() == b":1\r\n"
        assert await other.call("LLEN l") == b":1\r\n"


async def test_malformed_input_ends_the_connection_behind_the_replies() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.stream.send_all(encode(["SET", "k", "v"]) + b"*x\r\n" + encode(["SET", "k", "w"]))
        assert await client.receive() == b"+OK\r\n"
        assert await client.receive() == b"-ERR Protocol error: invalid multibulk length\r\n"
        assert await _closed(client)
        other = await broker.client()
        assert await other.call("GET k") == b"$1\r\nv\r\n"


async def test_malformed_input_behind_a_waiting_command() -> None:
    async with running() as broker:
        client, other = await broker.client(), await broker.client()
        await client.stream.send_all(encode(["BLPOP", "l", "0"]) + b"*x\r\n")
        await other.call("PING")
        await other.call("RPUSH l x")
        assert await client.receive() == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n"
        assert (await client.receive()).startswith(b"-ERR Protocol error")
        assert await _closed(client)


async def test_quitting_ends_the_connection_behind_the_replies() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.stream.send_all(encode(["PING"]) + encode(["QUIT"]) + encode(["SET", "k", "v"]))
        assert await client.receive() == b"+PONG\r\n"
        assert await client.receive() == b"+OK\r\n"
        assert await _closed(client)
        assert await (await broker.client()).call("GET k") == b"$-1\r\n"


@needs_source("broker.broker")
@pytest.mark.parametrize("always", [False, True])
async def test_a_connection_ends_directly_behind_its_last_reply(always: bool, tmp_path: Path) -> None:
    """Before any other client's replies are sent, and before the broker has forgotten the client."""
    directives = {"dir": str(tmp_path), "appendonly": "yes", "appendfsync": "always"} if always else {}
    async with running(directives) as broker:
        leaving, other = await broker.client(), await broker.client()
        for client in (leaving, other):
            await client.call("SUBSCRIBE a")
        by_id = {one.session.id: one for one in broker.server.tick.connections()}
        seen: list[str] = []
        transmit = by_id[2].transmit
        forget = broker.broker.close_session

        def noted(data: bytes | bytearray | memoryview) -> int:
            seen.append(f"other's reply, {by_id[1].sock.fileno()}")
            return transmit(data)

        def forgotten(session: Session) -> None:
            seen.append(f"forgotten, {by_id[1].sock.fileno()}")
            forget(session)

        def send_late() -> None:
            if by_id[1].session.flags & CLOSING and not seen:
                by_id[2].session.push(b"+late\r\n")

        by_id[2].transmit = noted
        broker.broker.close_session = forgotten  # type: ignore[method-assign]
        follow(broker, "end_tick", send_late)
        await leaving.call("UNSUBSCRIBE")
        await leaving.stream.send_all(encode("SET k v") + encode("QUIT"))
        assert [await leaving.receive() for _ in range(2)] == [b"+OK\r\n"] * 2
        assert await _closed(leaving)
        assert await other.receive() == b"+late\r\n"
        if always:  # the message waits for no disk
            assert "forgotten, -1" in seen
        else:
            assert seen == ["forgotten, -1", "other's reply, -1"]


async def test_http_ends_the_connection_without_a_word() -> None:
    async with running() as broker:
        client = await broker.client()
        await client.stream.send_all(b"POST / HTTP/1.1\r\nSET k v\r\n")
        with trio.fail_after(60):
            assert await client.stream.receive_some() == b""
        assert await (await broker.client()).call("GET k") == b"$-1\r\n"


async def test_a_gone_client_is_forgotten() -> None:
    async with running() as broker:
        client, other = await broker.client(), await broker.client()
        for command in ("SUBSCRIBE a", "PSUBSCRIBE b*"):
            await client.call(command)
        await client.stream.aclose()
        with trio.fail_after(60):
            while len(broker.broker.sessions) > 1:
                await trio.sleep(0)
        assert await other.call("PUBLISH a x") == b":0\r\n"
        assert len(broker.server.tick.connections()) == 1


async def test_publishing_to_a_client_that_went_in_the_same_tick() -> None:
    async with running() as broker:
        subscribers = [await broker.client() for _ in range(20)]
        for subscriber in subscribers:
            await subscriber.call("SUBSCRIBE a")
        publisher = await broker.client()
        for subscriber in subscribers[::2]:
            await publisher.send("PUBLISH a x")
            await subscriber.stream.aclose()
            assert (await publisher.receive())[:1] == b":"
        for subscriber in subscribers[1::2]:
            for _ in range(10):
                assert await subscriber.receive() == b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"


async def test_a_message_and_the_reply_to_it_in_one_tick() -> None:
    """Both clients' requests are in one poll: the message comes before the subscriber's later replies."""
    async with running() as broker:
        subscriber, publisher = await broker.client(), await broker.client()
        await subscriber.call("HELLO 3")
        await subscriber.call("SUBSCRIBE a")
        await publisher.call("PUBLISH a 1")
        assert (await subscriber.call("PING")).startswith(b">3")
        assert await subscriber.receive() == b"+PONG\r\n"


async def test_a_defect_in_a_command_costs_one_reply() -> None:
    def fail(session: Session, args: list[bytes]) -> bytes:
        raise RuntimeError("a defect")

    async with running() as broker:
        found: Command = broker.broker.commands.by_name[b"echo"]
        found.handler = fail
        client = await broker.client()
        assert await client.call("ECHO x") == b"-ERR internal error\r\n"
        assert await client.call("PING") == b"+PONG\r\n"


async def test_a_defect_in_a_timer_costs_nothing_else() -> None:
    def fail() -> None:
        raise RuntimeError("a defect")

    async with running() as broker:
        client = await broker.client()
        called = trio.Event()
        broker.broker.deadlines.after(0, fail)
        broker.broker.deadlines.after(1, called.set)
        with trio.fail_after(60):
            await called.wait()
        assert await client.call("PING") == b"+PONG\r\n"


async def test_keys_expire_without_being_asked_for() -> None:
    async with running({"notify-keyspace-events": "Ex"}) as broker:
        listening, client = await broker.client(), await broker.client()
        await listening.call("SUBSCRIBE __keyevent@0__:expired")
        await client.call("SET k v PX 20")
        with trio.fail_after(60):
            assert (await listening.receive()).endswith(b"$1\r\nk\r\n")
        assert broker.broker.keyspace.databases[0].data == {}


async def test_the_query_limit() -> None:
    async with running({"client-query-buffer-limit": "1mb"}) as broker:
        client = await broker.client()
        with suppress(trio.BrokenResourceError):
            await client.stream.send_all(b"*2\r\n$3\r\nGET\r\n$100000000\r\n" + b"x" * 3_000_000)
        assert await _closed(client)
        assert broker.broker.stats.query_limit_closes == 1


async def test_clients_of_every_kind_of_socket() -> None:
    async with running() as broker:
        port = broker.server.listeners.open_tcp("127.0.0.1", 0)
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        client = Client(stream)
        assert await client.call("PING") == b"+PONG\r\n"
        (connection,) = broker.server.tick.connections()
        assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        await stream.aclose()


async def test_many_clients() -> None:
    async with running() as broker:
        clients = [await broker.client() for _ in range(200)]
        for round_ in range(3):
            for number, client in enumerate(clients):
                await client.send("INCRBY", "n", number)
            replies = [int((await client.receive())[1:]) for client in clients]
            assert max(replies) == (round_ + 1) * sum(range(200))
