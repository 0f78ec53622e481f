"""For programs: /metrics for Prometheus, /health and /ready for whatever restarts servers or sends them traffic."""

from __future__ import annotations

import anyio
from coredis.exceptions import BusyLoadingError, RedisError
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from consumers.console.access.guard import visit_of
from consumers.console.metrics.prometheus import exposition
from consumers.console.metrics.reading import read
from consumers.console.server import Server, Unreachable
from consumers.console.watch import Watch

__all__ = ["ROUTES", "Pulse"]

PULSE_SECONDS = 2.0
"""How long the server may take to answer before it counts as dead."""


async def _metrics(request: Request) -> Response:
    page = exposition(await read(visit_of(request).viewpoint))
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
