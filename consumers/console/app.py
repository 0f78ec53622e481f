"""The console as an ASGI application."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
from coredis.exceptions import AuthenticationError, AuthorizationError, RedisError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from consumers.connecting import Client
from consumers.console.access.guard import Guard, visit_of
from consumers.console.access.policy import Login, Policy
from consumers.console.access.sessions import Sessions
from consumers.console.history import History
from consumers.console.metrics.settings import Settings
from consumers.console.pages import (
    channels,
    clients,
    configuration,
    keys,
    login,
    monitoring,
    overview,
    queues,
    slow_log,
    streams,
    users,
    workflows,
)
from consumers.console.server import Server, Unreachable
from consumers.console.viewpoint import Viewpoint
from consumers.console.views import Page, render
from consumers.console.watch import Watch
from consumers.task_groups import open_plain_task_group

__all__ = ["Console", "application"]

logger = logging.getLogger("consumers.console")

PAGES: Sequence[Page] = (
    overview.PAGE, queues.PAGE, workflows.PAGE, streams.PAGE, channels.PAGE, keys.PAGE, clients.PAGE, slow_log.PAGE,
    configuration.PAGE, users.PAGE,
)  # fmt: skip
BODY_LIMIT = 1024 * 1024


class Console:
    """What the pages of one running console share.

    place: the server's address as it is shown. streams: responses that go on at the moment. connect: returns a client,
    not yet entered, with a user's credentials, or with the console's own for (None, None). push: where the server's
    metrics are pushed, if they are; that needs the extra `otlp`.
    """

    pages = PAGES

    def __init__(
        self, policy: Policy, place: str, connect: Callable[[str | None, str | None], Client],
        clock: Callable[[], float] = time.time, *, push: Settings | None = None,
    ) -> None:  # fmt: skip
        self.policy = policy
        self.place = place
        self.streams = 0
        self._connect = connect
        self._clock = clock
        self._push = push

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep connections and samples for the block."""
        async with open_plain_task_group() as tasks:
            self.closing = anyio.Event()
            self.viewpoint = Viewpoint(lambda: self._connect(None, None), tasks)

            def seen_by(user: str, password: str) -> Viewpoint:
                return Viewpoint(lambda: self._connect(user, password), tasks)

            self.sessions = Sessions(self.policy, self.viewpoint, seen_by, tasks, self._clock)
            self.pulse = Watch("the server's pulse", monitoring.Pulse(self.viewpoint.server).read, tasks)
            self.history = History(self.viewpoint.server, self._other_servers, self._clock)
            tasks.start_soon(self.viewpoint.server.run)
            tasks.start_soon(self.history.run)
            tasks.start_soon(self.look_for_server)
            try:
                async with self._pushing():
                    try:
                        yield
                    finally:
                        self.close()
            finally:
                tasks.cancel_scope.cancel()

    async def look_for_server(self) -> None:
        """Say in the log if the server isn't there, or refuses the console's own user: only pages would tell."""
        try:
            await self.viewpoint.server.call(b"PING")
        except Unreachable as error:
            logger.warning("%s can't be reached: %s", self.place, error)
        except AuthenticationError as error:
            if self.policy.login is not Login.SERVER:  # otherwise users bring credentials of their own
                logger.warning("%s refuses the console's user: %s", self.place, error)
        except RedisError:
            pass  # it answers

    @asynccontextmanager
    async def _pushing(self) -> AsyncIterator[None]:
        """Push metrics during the block, if they are pushed."""
        async with AsyncExitStack() as stack:
            if self._push is not None:
                # OpenTelemetry's packages are needed, and loaded, only then
                from consumers.console.metrics.push import pushing

                await stack.enter_async_context(pushing(self._push, self.viewpoint, self.place))
            yield

    def _other_servers(self) -> list[Server]:
        """Return the server as those see it who are logged in."""
        return [viewpoint.server for viewpoint in self.sessions.viewpoints()]

    def close(self) -> None:
        """End the responses that would never end."""
        self.closing.set()


def application(console: Console) -> Starlette:
    """Return the application. Its lifespan runs what the console needs."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with console.running():
            yield

    static = StaticFiles(directory=Path(__file__).parent / "static")
    app = Starlette(
        routes=[
            *login.ROUTES,
            *monitoring.ROUTES,
            *(route for page in PAGES for route in page.routes),
            Mount("/static", static),
        ],
        middleware=[Middleware(Guard, policy=console.policy)],
        exception_handlers={
            HTTPException: _http_error,
            Unreachable: _unreachable,
            RedisError: _refused,
            Exception: _unexpected,
        },
        lifespan=lifespan,
        max_body_size=BODY_LIMIT,
    )
    app.state.console = console
    return app


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {404: "There is no such page.", 405: "This page can't be used like that."}
    standard = error.status_code in texts and " " in error.detail and error.detail.istitle()
    return _error(request, error.status_code, texts[error.status_code] if standard else error.detail)


async def _unreachable(request: Request, error: Exception) -> Response:
    return _error(request, 503, f"The server can't be reached: {error}")


async def _refused(request: Request, error: Exception) -> Response:
    visit, console = visit_of(request), request.app.state.console
    if isinstance(error, AuthenticationError) and console.policy.login is Login.SERVER:
        # the user's password has changed, or there is no such user any more
        console.sessions.logout(visit.token)
        return RedirectResponse("/login", 303)
    return _error(request, 403 if isinstance(error, AuthorizationError) else 502, f"The server refuses this: {error}")


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("%s %s has failed", request.method, request.url.path, exc_info=error)
    return _error(request, 500, "Something went wrong here. The console's log says what.")


def _error(request: Request, status: int, text: str) -> Response:
    return render(request, "error.html", status, code=status, text=text)
