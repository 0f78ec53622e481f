"""Server-sent events: what pages that update themselves are sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias, TypeVar

import anyio
from anyio.lowlevel import checkpoint
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from consumers.console.access.guard import visit_of
from consumers.console.watch import Watch

__all__ = ["Produce", "Push", "Rows", "Samples", "event_stream", "pushed_stream", "row_key", "updates"]

Push: TypeAlias = Callable[[object], Awaitable[None]]
Produce: TypeAlias = Callable[[Push], Awaitable[None]]
Rows: TypeAlias = Mapping[str, Mapping[str, str]]
"""The texts of the cells that may change, by their row's key and their own name."""

Samples: TypeAlias = Sequence[Mapping[str, float | None]]
"""What charts show: in order of "time", which all have."""

T = TypeVar("T")

LOOK = 1.0
"""Seconds between two looks whether there is a new reading."""

STREAMS = 64
"""Streams of all viewers at a time."""

LIFETIME = 600.0
"""Seconds after which a stream ends; browsers open another one by themselves."""


def event_stream(request: Request, events: AsyncGenerator[Any, None]) -> Response:
    """Return a response that sends each of the events as JSON, until the visitor's session or the console ends.

    The generator must not be inside a cancel scope or a task group when it yields. Raises HTTPException if there are
    too many.
    """

    async def produce(push: Push) -> None:
        async with aclosing(events):
            async for event in events:
                await push(event)

    return pushed_stream(request, produce)


def pushed_stream(request: Request, produce: Produce) -> Response:
    """The same for what a function pushes, which is cancelled at the end and may have tasks and connections."""
    if request.app.state.console.streams >= STREAMS:
        raise HTTPException(503, "Too many pages update themselves at the moment.")
    return _EventStream(request, produce)


async def updates(
    watch: Watch[T], rows: Callable[[T], Rows], samples: Callable[[float], Samples] | None = None
) -> AsyncGenerator[object, None]:
    """Yield the rows of each new reading, and why there is none at the moment, in the form that live.js takes.

    samples: returns those after a time, for charts.
    """
    seen, error, last = 0.0, None, 0.0
    while True:
        found = await watch.latest(10.0)
        if watch.taken != seen or watch.error != error:
            seen, error = watch.taken, watch.error
            new = [] if samples is None else samples(last)
            last = (new[-1]["time"] if new else None) or last
            yield {"error": error, "rows": {} if found is None else rows(found), "samples": new}
        await anyio.sleep(LOOK)


def row_key(name: bytes) -> str:
    """A short word for a row, whatever clients have called what it shows."""
    return hashlib.blake2b(name, digest_size=9).hexdigest()


class _EventStream(Response):
    """Unlike Starlette's StreamingResponse, it ends what it sends when the viewer has gone."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, produce: Produce) -> None:
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._visit = visit_of(request)
        self._console = request.app.state.console
        self._produce = produce

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._console.streams += 1
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._send, send, tasks.cancel_scope)
                while (await receive())["type"] != "http.disconnect":
                    pass
                tasks.cancel_scope.cancel()
        finally:
            self._console.streams -= 1

    async def _send(self, send: Send, everything: anyio.CancelScope) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"retry: 3000\n\n", "more_body": True})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_with_console, tasks.cancel_scope)
            tasks.cancel_scope.deadline = anyio.current_time() + LIFETIME

            async def push(event: object) -> None:
                if self._console.sessions.find(self._visit.token) is not self._visit.session:
                    tasks.cancel_scope.cancel()
                    await checkpoint()
                data = f"data: {json.dumps(event)}\n\n".encode()
                await send({"type": "http.response.body", "body": data, "more_body": True})

            await self._produce(push)
            tasks.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        everything.cancel()

    async def _end_with_console(self, events: anyio.CancelScope) -> None:
        await self._console.closing.wait()
        events.cancel()
