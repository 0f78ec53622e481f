"""Connections to targets: lines, ends, timeouts, and the idle ones."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from broker.migration.links import (
    IDLE_MAX,
    IDLE_MS,
    LINE_MAX,
    Address,
    BlockingLink,
    IdleLinks,
    Link,
    Opener,
    TrioLink,
    open_blocking_link,
    open_link,
    run_now,
)
from broker.process.timers import Deadlines
from tests.certificates import Certificates


def listener() -> tuple[trio.socket.SocketType, Address]:
    """Somebody who listens on a free port."""
    sock = trio.socket.socket()
    sock._sock.bind(("127.0.0.1", 0))  # type: ignore[attr-defined]
    sock.listen()
    return sock, (b"127.0.0.1", b"%d" % sock.getsockname()[1])


async def _on_trio(address: Address) -> Link:
    return await open_link(address, 5, None)


async def _blocking(address: Address) -> Link:
    return run_now(_opened(address))


async def _opened(address: Address) -> Link:
    return await open_blocking_link(address, 5, None)


@pytest.fixture(params=[_on_trio, _blocking])
def connect(request: pytest.FixtureRequest) -> Callable[[Address], Awaitable[Link]]:
    found: Callable[[Address], Awaitable[Link]] = request.param
    return found


async def test_lines(connect: Callable[[Address], Awaitable[Link]]) -> None:
    sock, address = listener()
    with sock:
        link = await connect(address)
        peer, _ = await sock.accept()
        with peer:
            await link.send(memoryview(b"hello"))
            assert await peer.recv(10) == b"hello"
            await peer.send(b"+OK\r\n-ERR no\n+last")
            assert [await link.read_line(), await link.read_line()] == [b"+OK", b"-ERR no"]
            await peer.send(b"\r\n")
            assert await link.read_line() == b"+last"
        with pytest.raises(ConnectionResetError):
            await link.read_line()
        link.close()


async def test_an_endless_line(connect: Callable[[Address], Awaitable[Link]]) -> None:
    sock, address = listener()
    with sock:
        link = await connect(address)
        peer, _ = await sock.accept()
        with peer:
            await trio.SocketStream(peer).send_all(b"x" * (LINE_MAX + 1))
            with pytest.raises(OSError, match="too long"):
                await link.read_line()
        link.close()


async def test_nobody_listens(connect: Callable[[Address], Awaitable[Link]]) -> None:
    sock, address = listener()
    sock.close()
    with pytest.raises(ConnectionError):
        await connect(address)


@pytest.mark.parametrize(
    "address",
    [
        (b"", b"1"),
        (b"127.0.0.1", b"65536"),
        (b"\xff.invalid", b"1"),
        (b"a\0b", b"1"),
        (b"a..b", b"1"),
        (b"a" * 64 + b".invalid", b"1"),
    ],
)
async def test_no_address(address: Address, connect: Callable[[Address], Awaitable[Link]]) -> None:
    with pytest.raises(OSError) as caught:
        await connect(address)
    assert not isinstance(caught.value, ConnectionError)


def test_a_blocking_link_never_suspends() -> None:
    assert run_now(_opened_nothing()) == "done"


async def _opened_nothing() -> str:
    return "done"


async def test_a_blocking_link_times_out() -> None:
    sock, address = listener()
    with sock:

        async def talk() -> None:
            link = await open_blocking_link(address, 0.01, None)
            assert isinstance(link, BlockingLink)
            with pytest.raises(TimeoutError):
                await link.read_line()
            link.close()

        run_now(talk())


class Authority:
    """Encrypts a listener's connections, and has a context for those who trust it."""

    def __init__(self, folder: Path) -> None:
        certificates = Certificates(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificates.certificate, certificates.key)
        self.trusting = certificates.client_context()
        self.trusting.check_hostname = False
        self.distrusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.distrusting.check_hostname = False

    async def echo(self, sock: trio.socket.SocketType) -> None:
        """Accept a connection, and return to it what it sends."""
        peer, _ = await sock.accept()
        stream = trio.SSLStream(trio.SocketStream(peer), self._context, server_side=True)
        with suppress(trio.BrokenResourceError):
            async for data in stream:
                await stream.send_all(data)
        peer.close()


async def _in_a_thread(conversation: Coroutine[Any, Any, None]) -> None:
    """Run what uses blocking links, while the listener has the loop."""
    await trio.to_thread.run_sync(run_now, conversation)


async def _here(conversation: Coroutine[Any, Any, None]) -> None:
    await conversation


ENCRYPTED = [(open_link, _here), (open_blocking_link, _in_a_thread)]


@pytest.mark.parametrize(("opener", "run"), ENCRYPTED)
async def test_an_encrypted_conversation(
    tmp_path: Path, opener: Opener, run: Callable[[Coroutine[Any, Any, None]], Awaitable[None]]
) -> None:
    authority = Authority(tmp_path)
    sock, address = listener()
    lines = [b"x" * 50_000, b"short", b"y" * 16_384]

    async def talk() -> None:
        link = await opener(address, 5, authority.trusting)
        await link.send(memoryview(b"".join(line + b"\r\n" for line in lines)))
        assert [await link.read_line() for _ in lines] == lines
        link.close()

    with sock:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(authority.echo, sock)
            await run(talk())


@pytest.mark.parametrize(("opener", "run"), ENCRYPTED)
async def test_an_unknown_authority_is_no_connection(
    tmp_path: Path, opener: Opener, run: Callable[[Coroutine[Any, Any, None]], Awaitable[None]]
) -> None:
    authority = Authority(tmp_path)
    sock, address = listener()

    async def talk() -> None:
        with pytest.raises(OSError, match="handshake") as caught:
            await opener(address, 5, authority.distrusting)
        assert not isinstance(caught.value, ConnectionError)

    with sock:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(authority.echo, sock)
            await run(talk())


async def test_a_handshake_without_an_answer(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    sock, address = listener()
    with sock, pytest.raises(TimeoutError):
        await open_link(address, 5, Authority(tmp_path).trusting)


@asynccontextmanager
async def idle_links() -> AsyncIterator[IdleLinks]:
    deadlines = Deadlines(lambda defect: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deadlines.run, lambda: None, lambda: None)
        yield IdleLinks(deadlines)
        nursery.cancel_scope.cancel()


def a_link() -> tuple[TrioLink, trio.socket.SocketType]:
    ours, theirs = trio.socket.socketpair()
    return TrioLink(trio.SocketStream(ours), 1), theirs


async def test_silence_is_a_timeout(autojump_clock: trio.testing.MockClock) -> None:
    link, peer = a_link()
    with pytest.raises(TimeoutError):
        await link.read_line()
    peer.close()
    link.close()


async def test_an_idle_link_is_used_again_by_one(autojump_clock: trio.testing.MockClock) -> None:
    async with idle_links() as idle:
        link, peer = a_link()
        idle.keep((b"h", b"1"), link)
        assert idle.take((b"h", b"2"), 2) is None
        assert idle.take((b"h", b"1"), 2) is link
        assert link.timeout == 2
        assert idle.take((b"h", b"1"), 2) is None
        idle.keep((b"h", b"1"), link)
        await trio.sleep(IDLE_MS / 1000 - 1)
        assert idle.size == 1
        await trio.sleep(2)
        assert idle.size == 0
        assert await peer.recv(1) == b""
        peer.close()


async def test_so_many_idle_links_and_no_more(autojump_clock: trio.testing.MockClock) -> None:
    async with idle_links() as idle:
        peers = []
        for n in range(IDLE_MAX + 1):
            link, peer = a_link()
            peers.append(peer)
            idle.keep((b"h", b"%d" % n), link)
        assert idle.size == IDLE_MAX
        assert await peers[0].recv(1) == b""
        idle.close()
        assert idle.size == 0
        for peer in peers[1:]:
            assert await peer.recv(1) == b""
        for peer in peers:
            peer.close()
