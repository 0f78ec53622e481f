"""The clients that are connected to the server, and ending one's connection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.views import Page, acted, confirm, query_of, render

__all__ = ["PAGE"]

SHOWN = 200
"""Clients that are shown at a time; the search finds the others."""

ORDERS = {
    "age": "Oldest", "idle": "Idle longest", "memory": "Most memory", "unsent": "Most unsent replies",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConnectedClient:
    """One line of CLIENT LIST. age, idle: seconds. memory, unsent: bytes."""

    id: str
    address: str
    name: str
    user: str
    library: str
    database: str
    command: str
    flags: str
    age: float
    idle: float
    memory: float
    unsent: float
    subscriptions: int

    def matches(self, text: str) -> bool:
        """Whether the text is in one of the words that describe the client."""
        return any(
            text in word.lower() for word in (self.id, self.address, self.name, self.user, self.library, self.command)
        )


async def _show(request: Request) -> Response:
    query = query_of(request)
    search, order = query.get("search", "").strip(), query.get("order", "age")
    if order not in ORDERS:
        raise HTTPException(400, "Clients can't be ordered by that.")
    reply = await visit_of(request).server.call(b"CLIENT", b"LIST")
    found = clients_of(reply.decode("utf-8", "backslashreplace"))
    matching = [one for one in found if one.matches(search.lower())]
    matching.sort(key=lambda one: -float(getattr(one, order)))
    return render(
        request, "clients.html", clients=matching[:SHOWN], matching=len(matching), total=len(found), search=search,
        order=order, orders=ORDERS,
    )  # fmt: skip


def clients_of(text: str) -> list[ConnectedClient]:
    """Return the clients of CLIENT LIST's reply."""
    return [_client(dict(word.partition("=")[::2] for word in line.split(" "))) for line in text.splitlines() if line]


def _client(found: Mapping[str, str]) -> ConnectedClient:
    def figure(name: str) -> float:
        text = found.get(name, "")
        return float(text) if text.isdecimal() else 0.0

    library = " ".join(filter(None, (found.get("lib-name"), found.get("lib-ver"))))
    return ConnectedClient(
        id=found.get("id", ""), address=found.get("addr", ""), name=found.get("name", ""),
        user=found.get("user", ""), library=library, database=found.get("db", ""),
        command=found.get("cmd", "").replace("|", " "), flags=found.get("flags", ""), age=figure("age"),
        idle=figure("idle"), memory=figure("tot-mem"), unsent=figure("omem") + figure("obl"),
        subscriptions=int(figure("sub") + figure("psub") + figure("ssub")),
    )  # fmt: skip


async def _end(request: Request, form: Form) -> Response:
    identifier = query_of(request).get("id", "")
    if not (identifier.isascii() and identifier.isdecimal()):
        raise HTTPException(400, "This is no client's ID.")
    if asked := confirm(request, form, f"End the connection of client {identifier}?", "End it", "/clients"):
        return asked
    killed = await visit_of(request).server.call(b"CLIENT", b"KILL", b"ID", identifier)
    notice = f"The connection of client {identifier} was ended." if killed else f"There is no client {identifier}."
    return acted(request, "/clients", notice, "end connection", id=identifier, ended=killed)


PAGE = Page("Clients", "/clients", [Route("/clients", _show), form_route("/clients/end", _end)])
