"""Who is logged in. Nothing of it is kept beyond the process: after a restart everybody logs in again.

A browser has one cookie, a random token, which it gets at its first request. The CSRF token of its forms is derived
from that cookie with a secret of this process, so it costs no memory and ends with the cookie. Sessions are found by
the token's hash. Under Login.SERVER each session has a connection of its own, with the user's credentials.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from anyio.abc import TaskGroup
from coredis.exceptions import AuthenticationError, RedisError

from consumers.console.access.attempts import Attempts
from consumers.console.access.policy import Login, Policy
from consumers.console.viewpoint import Viewpoint

__all__ = ["Refused", "Session", "Sessions"]

IDLE_SECONDS = 8 * 3600.0
LONGEST_SECONDS = 24 * 3600.0

LIMIT = 64
"""Sessions at a time; beyond that, the one that was unused longest is ended."""

NOTICES = 256
"""Messages for the next page that are kept."""


class Refused(Exception):
    """Somebody could not log in; the text says why."""


@dataclass(slots=True)
class Session:
    """user: the name to show, None if nobody has to log in."""

    user: str | None
    viewpoint: Viewpoint
    opened: float = 0.0
    used: float = 0.0


class Sessions:
    """viewpoint: the console's own. connect: returns that of a user with these credentials, not yet running."""

    def __init__(
        self,
        policy: Policy,
        viewpoint: Viewpoint,
        connect: Callable[[str, str], Viewpoint],
        tasks: TaskGroup,
        clock: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._shared = Session(None, viewpoint)
        self._connect = connect
        self._tasks = tasks
        self._clock = clock
        self._attempts = Attempts(clock)
        self._secret = secrets.token_bytes(32)
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._notices: OrderedDict[bytes, str] = OrderedDict()

    def csrf(self, token: str) -> str:
        """Return what the forms of the browser with this cookie contain."""
        return hmac.new(self._secret, token.encode(), hashlib.sha256).hexdigest()

    def find(self, token: str) -> Session | None:
        """Return the session of the browser with this cookie; None if it has to log in."""
        if self._policy.login is Login.NONE:
            return self._shared
        digest, now = _digest(token), self._clock()
        session = self._sessions.get(digest)
        if session is None:
            return None
        if now - session.used > IDLE_SECONDS or now - session.opened > LONGEST_SECONDS:
            self._end(digest)
            return None
        session.used = now
        self._sessions.move_to_end(digest)
        return session

    async def login(self, user: str, password: str, address: str, token: str | None = None) -> str:
        """Return the cookie of a new session. Raises Refused, or Unreachable.

        token: what the session is found by, instead of a new cookie.
        """
        if wait := self._attempts.wait(address):
            raise Refused(f"too many attempts: try again in {int(wait) + 1} seconds")
        # counted first, since many may be made at the same time
        self._attempts.failed(address)
        viewpoint = await self._checked(user, password)
        self._attempts.succeeded(address)
        now, token = self._clock(), token or secrets.token_urlsafe(32)
        if _digest(token) in self._sessions:
            # a program sends several requests at once, and another one of them came first
            self._close(viewpoint)
            return token
        name = user if self._policy.login is Login.SERVER else "operator"
        self._sessions[_digest(token)] = Session(name, viewpoint, now, now)
        for digest, session in list(self._sessions.items()):
            if len(self._sessions) > LIMIT or now - session.used > IDLE_SECONDS:
                self._end(digest)
        return token

    async def _checked(self, user: str, password: str) -> Viewpoint:
        if self._policy.login is Login.PASSWORD:
            given = password.encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, self._policy.password.encode("utf-8", "surrogateescape")):
                raise Refused("wrong password")
            return self._shared.viewpoint
        user = user or "default"
        try:
            f"{user}{password}".encode()
        except UnicodeEncodeError:
            # the credentials become part of a URL, which is text
            raise Refused("wrong name or password") from None
        if user == "default" and await self._accepted(user, secrets.token_urlsafe(16)) is not None:
            raise Refused("the server's default user has no password, so anybody could log in")
        viewpoint = await self._accepted(user, password)
        if viewpoint is None:
            raise Refused("wrong name or password")
        return viewpoint

    async def _accepted(self, user: str, password: str) -> Viewpoint | None:
        """Return the view with these credentials; None if the server refuses them. Raises Unreachable."""
        viewpoint = self._connect(user, password)
        server = viewpoint.server
        await self._tasks.start(server.run)
        try:
            await server.call(b"PING")
        except AuthenticationError:
            server.close()
            return None
        except RedisError:
            pass  # logged in, but without the permission to use PING
        except BaseException:
            server.close()
            raise
        return viewpoint

    async def basic(self, user: str, password: str, address: str) -> Session:
        """Return the session of a program that sends its credentials with each request. Raises Refused, Unreachable."""
        key = hmac.new(self._secret, f"{user}\0{password}".encode(), hashlib.sha256).hexdigest()
        session = self.find(key)
        if session is None:
            session = self.find(await self.login(user, password, address, key))
            assert session is not None
        return session

    def logout(self, token: str) -> None:
        """End the session of the browser with this cookie, if it has one."""
        self._end(_digest(token))

    def _end(self, digest: bytes) -> None:
        session = self._sessions.pop(digest, None)
        if session is not None:
            self._close(session.viewpoint)

    def _close(self, viewpoint: Viewpoint) -> None:
        if viewpoint is not self._shared.viewpoint:
            viewpoint.server.close()

    def viewpoints(self) -> list[Viewpoint]:
        """Return the views of those who are logged in, the one that was used last first."""
        return [session.viewpoint for session in reversed(self._sessions.values())]

    def leave_notice(self, token: str, text: str) -> None:
        """Keep a message for the next page that the browser with this cookie opens."""
        self._notices[_digest(token)] = text
        while len(self._notices) > NOTICES:
            self._notices.popitem(last=False)

    def take_notice(self, token: str) -> str | None:
        """Return the message for this page, once."""
        return self._notices.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
