"""Sessions: who is logged in, and for how long."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import coredis
import pytest

from consumers.addresses import client_from_url, with_credentials
from consumers.console.access.policy import Login, Policy
from consumers.console.access.sessions import IDLE_SECONDS, LIMIT, LONGEST_SECONDS, Refused, Sessions
from consumers.console.server import Unreachable
from consumers.console.viewpoint import Viewpoint

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def sessions_of(url: str, policy: Policy) -> AsyncIterator[tuple[Sessions, Clock]]:
    clock = Clock()
    async with anyio.create_task_group() as tasks:
        own = Viewpoint(lambda: client_from_url(url), tasks)
        tasks.start_soon(own.server.run)

        def connect(user: str, password: str) -> Viewpoint:
            return Viewpoint(lambda: client_from_url(with_credentials(url, user, password)), tasks)

        yield Sessions(policy, own, connect, tasks, clock), clock
        tasks.cancel_scope.cancel()


async def test_sessions_end() -> None:
    async with sessions_of("redis://127.0.0.1:1", Policy(Login.PASSWORD, "secret")) as (sessions, clock):
        token = await sessions.login("", "secret", "a")
        assert sessions.find("other") is None
        assert sessions.find(token) is not None
        clock.now += IDLE_SECONDS + 1
        assert sessions.find(token) is None
        token, begun = await sessions.login("", "secret", "a"), clock.now
        while clock.now < begun + LONGEST_SECONDS - 1000:
            clock.now += 1000
            assert sessions.find(token) is not None
        clock.now += 1001
        assert sessions.find(token) is None
        token = await sessions.login("", "secret", "a")
        sessions.logout(token)
        assert sessions.find(token) is None


async def test_sessions_are_limited() -> None:
    async with sessions_of("redis://127.0.0.1:1", Policy(Login.PASSWORD, "secret")) as (sessions, _):
        tokens = [await sessions.login("", "secret", "a") for _ in range(LIMIT)]
        assert sessions.find(tokens[0]) is not None
        await sessions.login("", "secret", "a")
        assert sessions.find(tokens[0]) is not None, "it was used last"
        assert sessions.find(tokens[1]) is None


async def test_wrong_passwords_are_refused_and_then_not_even_tried() -> None:
    async with sessions_of("redis://127.0.0.1:1", Policy(Login.PASSWORD, "secret")) as (sessions, _):
        for _ in range(5):
            with pytest.raises(Refused, match="wrong password"):
                await sessions.login("", "guess", "192.0.2.1")
        with pytest.raises(Refused, match="too many attempts: try again in 6"):
            await sessions.login("", "secret", "192.0.2.1")
        await sessions.login("", "secret", "192.0.2.2")


async def test_a_server_s_user_has_their_own_connection(client: Client, server_url: str) -> None:
    await client.acl_setuser("console-reader", "on", ">p@ss", "+@read", "~*")
    async with sessions_of(server_url, Policy(Login.SERVER)) as (sessions, _):
        try:
            for user, password in (("console-reader", "x"), ("nobody", "p@ss")):
                with pytest.raises(Refused, match="wrong name or password"):
                    await sessions.login(user, password, "a")
            token = await sessions.login("console-reader", "p@ss", "a")
            session: Any = sessions.find(token)
            assert session.user == "console-reader"
            assert await session.viewpoint.server.call(b"GET", b"k") is None
            with pytest.raises(coredis.exceptions.AuthorizationError):
                await session.viewpoint.server.call(b"SET", b"k", b"v")
            found: list[Any] = []

            async def ask() -> None:
                found.append(await sessions.basic("console-reader", "p@ss", "a"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                tasks.start_soon(ask)
            again = found[0]
            assert found[1] is again, "a connection more than necessary would stay open"
            assert await sessions.basic("console-reader", "p@ss", "a") is again
            sessions.logout(token)
            with pytest.raises(Unreachable), anyio.fail_after(60):
                await session.viewpoint.server.call(b"GET", b"k")
        finally:
            await client.acl_deluser(["console-reader"])


async def test_a_default_user_without_a_password_is_nobody(server_url: str) -> None:
    async with sessions_of(server_url, Policy(Login.SERVER)) as (sessions, _):
        with pytest.raises(Refused, match="default user has no password"):
            await sessions.login("default", "anything", "a")
        with pytest.raises(Refused, match="default user has no password"):
            await sessions.login("", "", "a")


async def test_notices_are_shown_once() -> None:
    async with sessions_of("redis://127.0.0.1:1", Policy()) as (sessions, _):
        sessions.leave_notice("token", "done")
        assert sessions.take_notice("other") is None
        assert sessions.take_notice("token") == "done"
        assert sessions.take_notice("token") is None
