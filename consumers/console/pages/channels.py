"""Channels: who listens, what is published while somebody watches, and publishing by hand."""

from __future__ import annotations

import time
from collections.abc import Mapping

import anyio
from coredis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.asking import ask
from consumers.console.channels import Channel, Channels, Kind, Tapped, named, tap
from consumers.console.entered import TEXT, Unreadable, entered, raw
from consumers.console.labels import label
from consumers.console.pages.streaming import Push, Rows, event_stream, pushed_stream, row_key, updates
from consumers.console.values import view
from consumers.console.views import Page, acted, confirm, count, link, query_of, render
from consumers.console.watch import GLANCE
from consumers.fanout import Message
from consumers.names import decoded

__all__ = ["PAGE"]

SHOWN = 200
"""Channels that are shown at a time; the search finds the others."""

CELL = 1000
"""Characters of a message that are shown."""

NAME_LIMIT = 1500
"""Bytes of the longest channel that has a page: as with keys, an address can't be longer."""

KINDS = {Kind.CHANNEL: "channel", Kind.PATTERN: "pattern", Kind.SHARD: "shard channel"}


async def _show(request: Request) -> Response:
    query, visit = query_of(request), visit_of(request)
    search, watch = raw(query.get("search", "")), visit.viewpoint.channels
    found = await watch.latest(GLANCE)
    if found is None and watch.error is not None:
        raise HTTPException(502, f"The channels can't be read: {watch.error}")
    if found is not None and not found.listed and search:
        async with visit.server.client() as client:
            matching = await named(client, search)
    else:
        matching = [] if found is None else _matching(found, search)
    return render(
        request, "channels.html", found=found, channels=matching[:SHOWN], matching=len(matching), error=watch.error,
        search=query.get("search", ""), kinds=KINDS, limit=NAME_LIMIT, key=_key,
        events=link("/channels/figures/events", search=query.get("search")),
    )  # fmt: skip


def _matching(found: Channels, search: bytes) -> list[Channel]:
    """Return the channels whose names have this part, those with the most subscribers first."""
    matching = [one for one in found.channels if search.lower() in one.name.lower()]
    return sorted(matching, key=lambda one: -one.subscribers)


def _key(one: Channel) -> str:
    return f"{'shard' if one.shard else 'channel'} {row_key(one.name)}"


async def _figures(request: Request) -> Response:
    """Send the list's figures as they change."""
    search, watch = raw(query_of(request).get("search", "")), visit_of(request).viewpoint.channels
    return event_stream(request, updates(watch, lambda found: _rows(found, search)))


def _rows(found: Channels, search: bytes) -> Rows:
    return {_key(one): {"subscribers": count(one.subscribers)} for one in _matching(found, search)[:SHOWN]}


async def _channel(request: Request) -> Response:
    kind, name = _named(query_of(request))
    return render(
        request, "channel.html", name=name, kind=KINDS[kind], publishes=kind is not Kind.PATTERN,
        events=link("/channels/events", kind=kind, name=name), publish=link("/channels/publish", kind=kind, name=name),
    )  # fmt: skip


def _named(query: Mapping[str, str]) -> tuple[Kind, bytes]:
    """Return what the query names. Raises HTTPException."""
    kind = query.get("kind", Kind.CHANNEL)
    if kind not in KINDS or "name" not in query:
        raise HTTPException(404, "There is no such channel.")
    return Kind(kind), raw(query["name"])


async def _events(request: Request) -> Response:
    """Send what is published: the texts of a row for each message, newest first."""
    (kind, name), server = _named(query_of(request)), visit_of(request).server

    async def produce(push: Push) -> None:
        quiet = 0

        async def tapped(found: Tapped) -> None:
            nonlocal quiet
            # a viewer to whom nothing is sent for 10 seconds may have gone
            quiet = 0 if found.messages else quiet + 1
            if quiet <= 2 or quiet % 40 == 0:
                rows = [_texts(*one) for one in reversed(found.messages)]
                await push({"rows": rows, "note": _note(found)})

        reason = await tap(server, kind, name, tapped)
        await push({"rows": [], "note": f"No longer followed: {reason}"})
        # else browsers would try again at once
        await anyio.sleep(10)

    return pushed_stream(request, produce)


def _texts(moment: float, message: Message, size: int) -> list[str]:
    shown = view(message.data, CELL)
    cut = shown.cut or size > len(message.data)
    clock = time.strftime("%H:%M:%S", time.gmtime(moment))
    return [clock, label(raw(message.channel)), f"{shown.text}{'…' if cut else ''}"]


def _note(found: Tapped) -> str:
    if not found.connected:
        return "The connection to the server was lost; it is made again."
    left_out = f", {count(found.left_out)} of them left out" if found.left_out else ""
    return f"{found.rate:,.1f} messages a second{left_out}."


async def _publish(request: Request, form: Form) -> Response:
    query, notation = query_of(request), form.get("notation", TEXT)
    try:
        if "name" in query:
            kind, name = _named(query)
        else:
            kind, name = _named({"kind": form.get("kind", Kind.CHANNEL), "name": ""})
            name = entered(form.get("name", ""), notation)
        message = entered(form.get("message", ""), notation)
    except Unreadable as error:
        raise HTTPException(400, str(error)) from None
    if kind is Kind.PATTERN:
        raise HTTPException(400, "Nothing can be published on a pattern.")
    back = link("/channels/channel", kind=kind, name=name) if len(name) <= NAME_LIMIT else "/channels"
    if asked := confirm(request, form, f"Publish this on the {KINDS[kind]} {label(name)}?", "Publish it", back):
        return asked
    async with visit_of(request).server.client() as client:
        (got,) = await ask(client, [(b"SPUBLISH" if kind is Kind.SHARD else b"PUBLISH", name, message)])
    if isinstance(got, RedisError):
        raise got
    notice = f"It was published; {'1 subscriber' if got == 1 else f'{got} subscribers'} got it."
    return acted(
        request, back, notice, "publish", channel=decoded(name), kind=kind, bytes=len(message), subscribers=got
    )


PAGE = Page(
    "Channels", "/channels",
    [
        Route("/channels", _show),
        Route("/channels/figures/events", _figures),
        Route("/channels/channel", _channel),
        Route("/channels/events", _events),
        form_route("/channels/publish", _publish),
    ],
)  # fmt: skip
