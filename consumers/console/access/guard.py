"""What every request passes before the application sees it, and the headers of every response."""

from __future__ import annotations

import base64
import binascii
import secrets
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumers.console.access.audit import audit
from consumers.console.access.policy import Policy
from consumers.console.access.sessions import Refused, Session, Sessions
from consumers.console.server import Server, Unreachable
from consumers.console.viewpoint import Viewpoint

__all__ = ["Guard", "Visit", "visit_of"]

PUBLIC = frozenset(("/login", "/health", "/ready"))
WITH_BASIC = frozenset(("/metrics",))
"""For programs, which send their credentials with each request."""
ALWAYS_WRITABLE = frozenset(("/login", "/logout"))

HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # with no-referrer, browsers would send forms with `Origin: null`
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(slots=True)
class Visit:
    """One request's visitor. token: the browser's cookie. session: None if nobody is logged in."""

    token: str
    csrf: str
    address: str
    session: Session | None
    secure: bool

    @property
    def user(self) -> str | None:
        return None if self.session is None else self.session.user

    @property
    def viewpoint(self) -> Viewpoint:
        """The server, and what is watched there, as this visitor sees it."""
        assert self.session is not None, "the guard lets nobody through without one"
        return self.session.viewpoint

    @property
    def server(self) -> Server:
        """The server as this visitor sees it."""
        return self.viewpoint.server


def visit_of(request: Request) -> Visit:
    """Return the visit that a request belongs to."""
    visit: Visit = request.scope["visit"]
    return visit


class Guard:
    """An ASGI application around another. `sessions` is of the console that runs now."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": "the console has none"})
            return
        headers = Headers(scope=scope)
        sessions: Sessions = scope["app"].state.console.sessions
        port = (scope.get("server") or ("", 0))[1]
        # a browser sends a host's cookies to all of its ports
        name = f"trimaran-{port}"
        token = cookie_parser(headers.get("cookie", "")).get(name, "")
        known = bool(token)
        visit = self._visit(scope, headers, token or secrets.token_urlsafe(32), sessions)
        scope["visit"] = visit
        response = await self._refusal(scope, headers, visit, sessions)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for header, value in HEADERS.items():
                    sent[header] = value
                sent.setdefault("cache-control", "no-store")
                if visit.token != token or not known:
                    secure = "; Secure" if visit.secure else ""
                    sent.append("set-cookie", f"{name}={visit.token}; Path=/; HttpOnly; SameSite=Strict{secure}")
            await send(message)

        await (response or self._app)(scope, receive, with_headers)

    def _visit(self, scope: Scope, headers: Headers, token: str, sessions: Sessions) -> Visit:
        address = (scope.get("client") or ("", 0))[0]
        secure = scope.get("scheme") == "https"
        if address == self._policy.proxy:
            # what the proxy has added is last
            address = headers.get("x-forwarded-for", address).rpartition(",")[2].strip()
            secure = headers.get("x-forwarded-proto", "") == "https"
        return Visit(token, sessions.csrf(token), address, sessions.find(token), secure)

    async def _refusal(self, scope: Scope, headers: Headers, visit: Visit, sessions: Sessions) -> Response | None:
        """Return the response to a request that goes no further; None: it does."""
        path, method = scope["path"], scope["method"]
        if not self._policy.admits_host(headers.get("host", "")):
            return PlainTextResponse("This console is not known by that name (see --host).\n", 421)
        if method not in ("GET", "HEAD"):
            if self._policy.read_only and path not in ALWAYS_WRITABLE:
                audit(visit.user, visit.address, "refused: read-only", path=path)
                return PlainTextResponse("This console is read-only.\n", 403)
            if not _same_origin(headers):
                audit(visit.user, visit.address, "refused: another origin", path=path, origin=headers.get("origin"))
                return PlainTextResponse("This request comes from another site.\n", 403)
        if visit.session is not None or path in PUBLIC or path.startswith("/static/"):
            return None
        if path in WITH_BASIC:
            return await self._basic(headers, visit, sessions)
        if method == "GET" and "text/html" in headers.get("accept", ""):
            query = scope["query_string"].decode("latin-1")
            after = quote(f"{path}?{query}" if query else path, safe="")
            return RedirectResponse(f"/login?after={after}", 303)
        return PlainTextResponse("Log in first.\n", 401)

    async def _basic(self, headers: Headers, visit: Visit, sessions: Sessions) -> Response | None:
        scheme, _, encoded = headers.get("authorization", "").partition(" ")
        try:
            text = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            text = ""
        user, separator, password = text.partition(":")
        reason = "Log in with HTTP Basic authentication."
        if scheme.lower() == "basic" and separator:
            try:
                visit.session = await sessions.basic(user, password, visit.address)
            except Refused as error:
                reason = f"{error}."
            except Unreachable as error:
                return PlainTextResponse(f"{error}\n", 503)
            else:
                return None
        return PlainTextResponse(f"{reason}\n", 401, {"www-authenticate": 'Basic realm="console"'})


def _same_origin(headers: Headers) -> bool:
    """Whether a browser says that a form is on a page of this console; programs say nothing."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
