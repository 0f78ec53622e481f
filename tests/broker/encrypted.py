"""A broker in the same process that listens for encrypted connections, and clients of it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from broker import open_broker
from broker.server import Server
from tests.broker.inprocess import Client
from tests.certificates import Certificates
from tests.oracle.servers import free_port


class Encrypted:
    """A running broker with `tls-port`; what is opened here is closed with it."""

    def __init__(self, server: Server, certificates: Certificates, port: int) -> None:
        self.server = server
        self.broker = server.broker
        self.certificates = certificates
        self.port = port
        self._streams: list[trio.abc.Stream] = []

    async def open(self) -> trio.SocketStream:
        """Connect, without a handshake."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        self._streams.append(stream)
        return stream

    async def connect(self, context: ssl.SSLContext | None = None) -> Client:
        """Return a client whose handshake is complete; by default it presents its certificate."""
        context = context or self.certificates.client_context()
        stream = trio.SSLStream(await self.open(), context, server_hostname="127.0.0.1")
        await stream.do_handshake()
        return Client(stream)

    async def handshakes(self, number: int) -> None:
        """Wait until so many handshakes are in progress."""
        with trio.fail_after(20):
            while len(self.server.listeners.handshakes) != number:
                await trio.sleep(0.001)

    async def close(self) -> None:
        for stream in self._streams:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def serving(certificates: Certificates, **directives: str) -> AsyncIterator[Encrypted]:
    """Run a broker with these certificates; `directives` with underscores for dashes."""
    port = free_port()
    settings = certificates.directives(bind="127.0.0.1", tls_port=str(port), **directives)
    async with open_broker(settings) as server:
        encrypted = Encrypted(server, certificates, port)
        try:
            yield encrypted
        finally:
            await encrypted.close()
