"""For programs: /metrics for Prometheus, /health and /ready for whatever restarts servers or sends them traffic."""

from __future__ import annotations

import anyio
from coredis.exceptions import BusyLoadingError, RedisError
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from consumers.console.access.guard import visit_of
from consumers.console.info import fields
from consumers.console.metrics import exposition
from consumers.console.server import About, Server, Unreachable
from consumers.console.watch import Watch

__all__ = ["ROUTES", "Pulse"]

WAIT = 5.0
"""Seconds that a scrape waits for new figures; afterwards it gets the ones before."""

PULSE_SECONDS = 2.0
"""How long the server may take to answer before it counts as dead."""

SECTIONS = (b"server", b"clients", b"memory", b"stats", b"replication", b"persistence", b"keyspace")


async def _metrics(request: Request) -> Response:
    viewpoint = visit_of(request).viewpoint
    about: About | None = None
    found: dict[str, str] = {}
    try:
        about = await viewpoint.server.about()
        found = fields(await viewpoint.server.call(b"INFO", *SECTIONS))
    except Unreachable:
        about = None
    streams = queues = None
    if about is not None:
        streams, queues = await viewpoint.streams.latest(WAIT), await viewpoint.queues.latest(WAIT)
        # figures that can't be read any more would look as if nothing changed
        streams = None if viewpoint.streams.error is not None else streams
        queues = None if viewpoint.queues.error is not None else queues
    page = exposition(about, found, streams, None if queues is None else queues.figures)
    return Response(page, media_type=CONTENT_TYPE_PLAIN_0_0_4)


class Pulse:
    """How the server is, asked for at most every two seconds, however many want to know.

    Nobody has to log in for that, so it says no more than one word.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    async def read(self) -> str:
        """Return "ready", "loading", "stale" for a replica that refuses reads without its master, or "down"."""
        with anyio.move_on_after(PULSE_SECONDS):
            try:
                await self._server.call(b"PING")
            except Unreachable:
                return "down"
            except BusyLoadingError:
                return "loading"
            except RedisError as error:
                # a server that refuses this user serves others
                return "stale" if str(error).startswith("MASTERDOWN") else "ready"
            return "ready"
        return "down"


async def _health(request: Request) -> Response:
    state = await _state(request.app.state.console.pulse)
    return JSONResponse({"status": "down" if state == "down" else "ok"}, 503 if state == "down" else 200)


async def _ready(request: Request) -> Response:
    state = await _state(request.app.state.console.pulse)
    return JSONResponse({"status": state}, 200 if state == "ready" else 503)


async def _state(pulse: Watch[str]) -> str:
    return await pulse.latest(PULSE_SECONDS + 1) or "down"


ROUTES: list[BaseRoute] = [
    Route("/metrics", _metrics), Route("/health", _health), Route("/ready", _ready),
]  # fmt: skip
