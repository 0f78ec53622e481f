"""Connections to a master: plain, encrypted, and those that can't be made."""

import socket
import ssl
from pathlib import Path

import pytest
import trio

from broker.config import Config
from broker.network.outgoing import connect
from broker.process.log import Log
from broker.tls.contexts import TlsContexts
from tests.certificates import Certificates


async def serve(listener: trio.SocketListener, context: ssl.SSLContext | None) -> bytes:
    """Accept one connection and return what it sends first."""
    stream: trio.abc.Stream = await listener.accept()
    if context is not None:
        stream = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
    async with stream:
        data = bytes(await stream.receive_some())
        await stream.send_all(b"+PONG\r\n")
    return data


async def exchange(config: Config, contexts: TlsContexts, context: ssl.SSLContext | None) -> bytes:
    """What a server receives; the connection must have its answer."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    received: list[bytes] = []

    async def served() -> None:
        received.append(await serve(listener, context))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(served)
            port = listener.socket.getsockname()[1]
            async with await connect("127.0.0.1", port, config, contexts) as stream:
                await stream.send_all(b"PING")
                assert await stream.receive_some() == b"+PONG\r\n"
    await listener.aclose()
    return received[0]


async def test_plain() -> None:
    config = Config()
    config.bind_source_addr = "127.0.0.1"
    assert await exchange(config, TlsContexts(config, Log("nothing")), None) == b"PING"


async def test_encrypted(tmp_path: Path) -> None:
    config = Config()
    certificates = Certificates(tmp_path)
    for name, value in certificates.directives().items():
        setattr(config, name.replace("-", "_"), value)
    config.tls_replication = True
    contexts = TlsContexts(config, Log("nothing"))
    assert contexts.configure()
    assert await exchange(config, contexts, contexts.server) == b"PING"


async def test_encryption_without_configuration() -> None:
    config = Config()
    config.tls_replication = True
    refused = pytest.raises(OSError, match="there is no TLS configuration")
    with socket.create_server(("127.0.0.1", 0)) as listener, refused:
        await connect("127.0.0.1", listener.getsockname()[1], config, TlsContexts(config, Log("nothing")))


@pytest.mark.parametrize("host", ["", "a" * 64 + ".example", "nul\0", "\udcff", "..", "127.0.0.1"])
async def test_not_to_be_reached(host: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # and doesn't listen
        config = Config()
        with pytest.raises(OSError):
            await connect(host, sock.getsockname()[1], config, TlsContexts(config, Log("nothing")))
