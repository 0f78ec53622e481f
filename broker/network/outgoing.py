"""Connections that the broker opens itself: to its master."""

from __future__ import annotations

import trio

from broker.config import Config
from broker.tls.contexts import TlsContexts


async def connect(host: str, port: int, config: Config, contexts: TlsContexts) -> trio.abc.Stream:
    """Connect to a server of the same set, encrypted with tls-replication.

    Raises OSError, or trio.BrokenResourceError if the encrypted connection can't be agreed on.
    """
    try:
        host.encode("idna")  # as Python's resolver does, with an error of another kind
        stream = await trio.open_tcp_stream(host, port, local_address=config.bind_source_addr or None)
    except ValueError:
        raise OSError("not an address") from None
    if not config.tls_replication:
        return stream
    context = contexts.client
    if context is None:
        await stream.aclose()
        raise OSError("there is no TLS configuration")
    encrypted = trio.SSLStream(stream, context, https_compatible=True)
    try:
        await encrypted.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return encrypted
