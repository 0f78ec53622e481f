"""Logging in and out."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from consumers.console.access.audit import audit
from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.access.policy import Login
from consumers.console.access.sessions import Refused
from consumers.console.server import Unreachable
from consumers.console.views import query_of, render

__all__ = ["ROUTES"]


async def _show(request: Request) -> Response:
    after = _own_path(query_of(request).get("after", ""))
    if visit_of(request).session is not None:
        return RedirectResponse(after, 303)
    return _page(request, after)


def _page(request: Request, after: str, error: str | None = None, name: str = "", status: int = 200) -> Response:
    with_name = request.app.state.console.policy.login is Login.SERVER
    return render(request, "login.html", status, after=after, error=error, name=name, with_name=with_name)


async def _log_in(request: Request, form: Form) -> Response:
    visit, sessions = visit_of(request), request.app.state.console.sessions
    after, name = _own_path(form.get("after", "")), form.get("name", "")
    try:
        token = await sessions.login(name, form.get("password", ""), visit.address)
    except Refused as error:
        audit(name, visit.address, "refused: login", reason=str(error))
        return _page(request, after, f"{error}.", name, 401)
    except Unreachable as error:
        return _page(request, after, f"The server can't be reached: {error}.", name, 503)
    # a cookie that was known before the login is worth nothing after it
    visit.token = token
    audit(name or None, visit.address, "login")
    return RedirectResponse(after, 303)


async def _log_out(request: Request, form: Form) -> Response:
    visit = visit_of(request)
    request.app.state.console.sessions.logout(visit.token)
    audit(visit.user, visit.address, "logout")
    return RedirectResponse("/login", 303)


def _own_path(text: str) -> str:
    """Return a path of this console: browsers take //host and /\\host for other sites."""
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable() else "/"


ROUTES: list[BaseRoute] = [
    Route("/login", _show, methods=["GET"]),
    form_route("/login", _log_in),
    form_route("/logout", _log_out),
]
