"""The server's configuration: shown, searched, and changed while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from coredis.exceptions import ResponseError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.views import Page, acted, confirm, link, query_of, render
from consumers.names import encoded

__all__ = ["PAGE"]

SECRETS = frozenset(
    ("requirepass", "masterauth", "primaryauth", "tls-key-file-pass", "tls-client-key-file-pass", "otlp-password")
)  # fmt: skip
"""Directives whose values are passwords: they can be set, and are never shown."""


@dataclass(frozen=True, slots=True)
class Directive:
    """value: as CONFIG GET returns it; of a secret, whether there is one."""

    name: str
    value: str
    secret: bool


async def _show(request: Request) -> Response:
    search = query_of(request).get("search", "").strip().lower()
    reply = await visit_of(request).server.call(b"CONFIG", b"GET", b"*")
    directives = sorted((_directive(*pair) for pair in reply.items()), key=lambda one: one.name)
    matching = [one for one in directives if search in one.name or (not one.secret and search in one.value.lower())]
    return render(request, "configuration.html", directives=matching, total=len(directives), search=search)


def _directive(name: bytes, value: bytes) -> Directive:
    word, text = name.decode("utf-8", "backslashreplace"), value.decode("utf-8", "backslashreplace")
    if word in SECRETS:
        return Directive(word, "set" if text else "not set", True)
    return Directive(word, text, False)


async def _one(request: Request) -> Response:
    directive = await _named(request)
    return render(request, "directive.html", directive=directive, error=None)


async def _named(request: Request) -> Directive:
    """Return the directive that the query names. Raises HTTPException."""
    name = query_of(request).get("name", "")
    # anything else would be a pattern
    if not name or not all(one.isalnum() or one in "-_." for one in name):
        raise HTTPException(404, "There is no such directive.")
    reply = await visit_of(request).server.call(b"CONFIG", b"GET", name)
    if not reply:
        raise HTTPException(404, "There is no such directive.")
    [(found, value), *_] = reply.items()
    return _directive(found, value)


async def _set(request: Request, form: Form) -> Response:
    directive = await _named(request)
    value = form.get("value", "").replace("\r\n", "\n")
    shown = "a new value" if directive.secret else f"“{value}”"
    back = link("/configuration/directive", name=directive.name)
    if asked := confirm(request, form, f"Set {directive.name} to {shown}?", "Set it", back):
        return asked
    try:
        await visit_of(request).server.call(b"CONFIG", b"SET", directive.name, encoded(value))
    except ResponseError as error:
        return render(request, "directive.html", 400, directive=directive, error=str(error))
    return acted(
        request, link("/configuration", search=directive.name), f"{directive.name} was set.", "set directive",
        name=directive.name, value=None if directive.secret else value,
    )  # fmt: skip


async def _write(request: Request, form: Form) -> Response:
    if asked := confirm(request, form, "Write the configuration to the server's file?", "Write it", "/configuration"):
        return asked
    await visit_of(request).server.call(b"CONFIG", b"REWRITE")
    return acted(request, "/configuration", "The configuration was written.", "write configuration")


PAGE = Page(
    "Configuration", "/configuration",
    [
        Route("/configuration", _show),
        Route("/configuration/directive", _one),
        form_route("/configuration/set", _set),
        form_route("/configuration/write", _write),
    ],
)  # fmt: skip
