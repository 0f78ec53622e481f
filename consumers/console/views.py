"""How pages are rendered: templates, and what all of them share.

What identifies a thing (a key, a queue) is in a page's query, where any bytes can be percent-encoded; a form's fields
hold only what the user typed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import jinja2
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from consumers.console.access.audit import audit
from consumers.console.access.forms import Form
from consumers.console.access.guard import visit_of
from consumers.console.access.policy import Login
from consumers.console.asking import encoded
from consumers.console.labels import label, size
from consumers.durations import age

__all__ = ["Page", "acted", "change", "confirm", "count", "duration", "link", "query_of", "rate", "render"]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the navigation, with all the routes that belong to it."""

    title: str
    path: str
    routes: Sequence[BaseRoute]


def count(number: float | None) -> str:
    """A number with commas between thousands; a dash for None."""
    return "-" if number is None else f"{number:,.0f}"


def rate(number: float | None) -> str:
    """A number a second, with two or three digits that count; a dash for None."""
    if number is None:
        return "-"
    return f"{number:,.0f}" if number >= 99.5 or number == 0 else f"{number:.1f}" if number >= 0.95 else f"{number:.2f}"


def change(number: float | None) -> str:
    """By how much something grows or shrinks, with its sign; a dash for None."""
    if number is None:
        return "-"
    return f"{round(number):+,}" if round(number) else "0"


def duration(seconds: float | None) -> str:
    """A duration in its two largest units; a dash for None."""
    return "-" if seconds is None else age(max(0.0, seconds))


def _moment(seconds: float | None) -> str:
    """A time as UTC."""
    return "-" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def link(path: str, **query: str | bytes | int | None) -> str:
    """Return a path with a query. Bytes are percent-encoded as they are."""
    kept = {
        name: value if isinstance(value, bytes) else encoded(str(value))
        for name, value in query.items()
        if value is not None and value != ""
    }
    return f"{path}?{urlencode(kept, quote_via=quote)}" if kept else path


def query_of(request: Request) -> dict[str, str]:
    """Return the query's fields; bytes that are not UTF-8 are surrogates, as in file names."""
    text = request.scope["query_string"].decode("latin-1")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=100))
    except ValueError:
        raise HTTPException(400, "This address can't be read.") from None


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.PackageLoader("consumers.console"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
_ENVIRONMENT.filters |= {
    "size": size,
    "count": count,
    "duration": duration,
    "moment": _moment,
    "label": label,
    "rate": rate,
    "change": change,
}
_ENVIRONMENT.globals |= {"link": link}


def render(request: Request, template: str, status: int = 200, **context: Any) -> Response:
    """Return a page. Every value in it is escaped."""
    console, visit = request.app.state.console, visit_of(request)
    shared: Mapping[str, Any] = {
        "pages": console.pages,
        "path": request.url.path,
        "csrf": visit.csrf,
        "user": visit.user,
        "logged_in": visit.session is not None,
        "may_log_out": visit.session is not None and console.policy.login is not Login.NONE,
        "read_only": console.policy.read_only,
        "place": console.place,
        "notice": console.sessions.take_notice(visit.token) if visit.session is not None else None,
    }
    assert not shared.keys() & context.keys(), "a page must not change what all pages show"
    text = _ENVIRONMENT.get_template(template).render({**shared, **context})
    return Response(text.encode("utf-8", "backslashreplace"), status, media_type="text/html; charset=utf-8")


def confirm(request: Request, form: Form, question: str, answer: str, back: str, warning: str = "") -> Response | None:
    """Return the page that asks whether the user means it; None if they have confirmed it already.

    answer: what the button that does it says. back: the path of the page to return to otherwise. warning: what the
    user should know before.
    """
    if form.pop("confirmed", "") == "yes":
        return None
    query = request.scope["query_string"].decode("latin-1")
    action = f"{request.url.path}?{query}" if query else request.url.path
    return render(
        request, "confirm.html", question=question, answer=answer, action=action, fields=form, back=back,
        warning=warning,
    )  # fmt: skip


def acted(request: Request, after: str, notice: str, action: str, **details: str | int | None) -> Response:
    """Log what was done, and lead to a page that says it. after: that page's path."""
    visit = visit_of(request)
    audit(visit.user, visit.address, action, **details)
    request.app.state.console.sessions.leave_notice(visit.token, notice)
    return RedirectResponse(after, 303)
