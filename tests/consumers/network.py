"""A proxy between consumers and their server that fails as networks do: late, silent, one-way, or gone.

Faults are set while it runs. They affect both directions unless stated otherwise.
"""

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream

KINDS_OF_TROUBLE = [
    "cut", "late", "half-closed to the client", "half-closed to the server", "replies lost", "refused",
]  # fmt: skip

BURSTS, FAULTS = int(os.environ.get("TRIMARAN_FAULT_BURSTS", "2")), 6
"""Faults come in bursts, one upon another while the last one is being got over; behind each the network is well until
somebody has connected again, and after the last one for good. Without these ends a slow machine may find no good moment
for as long as there is trouble, and it waits longer after each failure."""

GONE = (
    anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.BusyResourceError, anyio.EndOfStream, OSError,
    RuntimeError,  # what asyncio's transports raise for data after an end of stream
)  # fmt: skip


class Network:
    """`url` leads through the proxy. delay: seconds that each piece waits. swallow_replies: the server's answers are
    lost while requests arrive. refuse: new connections are closed at once. server: the URL of what new ones lead to."""

    def __init__(self, port: int, server: str) -> None:
        self.server = server
        self.url = f"redis://127.0.0.1:{port}/0"
        self.delay = 0.0
        self.swallow_replies = False
        self.refuse = False
        self.connections = 0
        self.pairs: set[tuple[SocketStream, SocketStream]] = set()
        self._connected = anyio.Event()

    async def cut(self) -> None:
        """End all connections."""
        for pair in list(self.pairs):
            for stream in pair:
                await anyio.aclose_forcefully(stream)

    async def half_close(self, side: str) -> None:
        """Send one side ("client" or "server") an end of stream; it may go on sending."""
        for near, far in list(self.pairs):
            with suppress(*GONE):
                await (near if side == "client" else far).send_eof()

    async def connected(self) -> None:
        """Wait until there is a connection."""
        while not self.pairs:
            self._connected = anyio.Event()
            await self._connected.wait()

    async def serve(self, near: SocketStream) -> None:
        if self.refuse:
            return
        self.connections += 1
        server = urlsplit(self.server)
        assert server.hostname is not None and server.port is not None
        far = await anyio.connect_tcp(server.hostname, server.port)
        pair = (near, far)
        self.pairs.add(pair)
        self._connected.set()
        try:
            async with anyio.create_task_group() as both:
                both.start_soon(self._pass, near, far, False)
                both.start_soon(self._pass, far, near, True)
        finally:
            self.pairs.discard(pair)
            await anyio.aclose_forcefully(far)

    async def _pass(self, source: SocketStream, target: SocketStream, replies: bool) -> None:
        with suppress(*GONE):
            while True:
                data = await source.receive(65536)
                if self.delay:
                    await anyio.sleep(random.uniform(0, self.delay))
                if not (replies and self.swallow_replies):
                    await target.send(data)
        await anyio.aclose_forcefully(target)
        await anyio.aclose_forcefully(source)


@asynccontextmanager
async def network(server_url: str) -> AsyncIterator[Network]:
    """Run a proxy to the server at this URL."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    between = Network(listener.extra(SocketAttribute.local_port), server_url)

    async def serve(near: SocketStream) -> None:
        with suppress(*GONE):
            try:
                await between.serve(near)
            finally:
                await anyio.aclose_forcefully(near)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield between
        tasks.cancel_scope.cancel()


async def trouble(between: Network, kind: str) -> None:
    """Several bursts of one kind of fault; then the network is well."""
    for _ in range(BURSTS):
        for _ in range(FAULTS):
            await anyio.sleep(random.uniform(0.02, 0.15))
            await _fault(between, kind)
        await between.connected()
    between.delay = 0.0


async def _fault(between: Network, kind: str) -> None:
    if kind == "cut":
        await between.cut()
    elif kind == "late":
        between.delay = random.choice((0, 0.02, 0.1))
    elif kind == "half-closed to the client":
        await between.half_close("client")
    elif kind == "half-closed to the server":
        await between.half_close("server")
    elif kind == "replies lost":
        between.swallow_replies = True
        await anyio.sleep(random.uniform(0, 0.05))
        await between.cut()
        between.swallow_replies = False
    elif kind == "refused":
        between.refuse = True
        await between.cut()
        await anyio.sleep(random.uniform(0, 0.2))
        between.refuse = False
