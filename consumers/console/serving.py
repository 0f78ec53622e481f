"""The console on a port: Hypercorn, on whichever loop runs."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypercorn.config import Config

from consumers.console.app import Console, application
from consumers.console.pages.streaming import LIFETIME
from consumers.loops import current_loop

__all__ = ["Listener", "listen", "serve"]

BACKLOG = 100
SILENCE_SECONDS = int(LIFETIME) + 60
"""How long a connection may send nothing: longer than pages that update themselves only listen."""

GRACE_SECONDS = 1.0
"""How long requests that are being answered may hold up the end."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that listens. address: as in a URL."""

    socket: socket.socket
    address: str


def listen(addresses: Sequence[str], port: int) -> list[Listener]:
    """Listen on a port of each address; 0 is any free one, the same for all. Raises OSError, in one line."""
    listeners: list[Listener] = []
    try:
        for address in addresses:
            for family, place in _places(address, port):
                one = socket.socket(family, socket.SOCK_STREAM)
                shown = f"[{place[0]}]" if family == socket.AF_INET6 else place[0]
                listeners.append(Listener(one, shown))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                try:
                    one.bind(place)
                except OSError as error:
                    raise OSError(f"{shown}:{port}: {error.strerror}") from None
                one.listen(BACKLOG)
                port = one.getsockname()[1]
    except BaseException:
        for listener in listeners:
            listener.socket.close()
        raise
    return [Listener(one.socket, f"{one.address}:{port}") for one in listeners]


def _places(address: str, port: int) -> list[tuple[int, Any]]:
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise OSError(f"{address}: {error.strerror}") from None
    return list(dict.fromkeys((family, place) for family, _, _, _, place in found))


async def serve(
    console: Console,
    listeners: Sequence[Listener],
    wait: Callable[[], Awaitable[object]],
    certificate: str | None = None,
    key: str | None = None,
) -> None:
    """Serve the console until `wait` returns. Takes the listeners' sockets over.

    certificate, key: files, for HTTPS. Raises OSError or ssl.SSLError if they can't be used.
    """
    config = Config()
    config.bind = [f"fd://{one.socket.detach()}" for one in listeners]
    config.certfile, config.keyfile = certificate, key
    config.errorlog = logging.getLogger("consumers.console.http")
    config.include_server_header = False
    config.graceful_timeout = GRACE_SECONDS
    config.read_timeout = SILENCE_SECONDS

    async def ended() -> None:
        await wait()
        # else responses without an end would take up the whole grace period
        console.close()

    app: Any = application(console)
    if current_loop() == "trio":
        from hypercorn.trio import serve as serve_on_trio

        await serve_on_trio(app, config, shutdown_trigger=ended)
    else:
        from hypercorn.asyncio import serve as serve_on_asyncio

        await serve_on_asyncio(app, config, shutdown_trigger=ended)
