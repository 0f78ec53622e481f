"""One pending entry: acknowledged, or claimed for another consumer, by hand."""

from __future__ import annotations

import re

from coredis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console import stream_entries
from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.entered import TEXT, Unreadable, entered, raw
from consumers.console.labels import label
from consumers.console.pages.addressed import found_group, group_link, group_named, named, sent
from consumers.console.refusals import NOTHING_REFUSED, Refusal
from consumers.console.stream_entries import Pending
from consumers.console.views import acted, confirm, link, query_of, render
from consumers.names import decoded

__all__ = ["ROUTES"]

PARKED = b"~parked"
"""The consumer of entries that wait for others with their value (docs/policies.md)."""

_JOBS = re.compile(rb"jobs:\{([^{}]+)\}:.+")


async def _show(request: Request) -> Response:
    return await _page(request, NOTHING_REFUSED)


async def _page(request: Request, refusal: Refusal) -> Response:
    query = query_of(request)
    key, name = named(query), group_named(query)
    one = await _pending(request, key, name, query.get("id", ""))
    if one is None:
        raise HTTPException(404, "This entry is not pending any more.")
    return render(
        request, "pending.html", refusal.status, key=key, group=name, one=one, refusal=refusal,
        back=group_link(key, name),
        acknowledge=link("/streams/acknowledge", key=key, group=name, id=one.id),
        # a lower idle time is another delivery than the one that is shown
        claim=link("/streams/claim", key=key, group=name, id=one.id, idle=max(0, round(one.idle * 1000))),
    )  # fmt: skip


async def _pending(request: Request, key: bytes, group: bytes, id: str) -> Pending | None:
    async with visit_of(request).server.client() as client:
        await found_group(client, key, group)
        return await stream_entries.pending_entry(client, key, group, id)


def _warning(key: bytes, one: Pending) -> str:
    """Return what one should know about who has an entry."""
    if one.consumer == PARKED:
        return "It waits for others with its value, and leaves their order."
    told = f"{label(one.consumer)} is not told, and may still be working on it." if one.consumer else ""
    if queue := _JOBS.fullmatch(key):
        told = f"{told} It is a job of the queue {label(queue[1])}, whose page can do this in the queue's own way."
    return told.strip()


async def _acknowledge(request: Request, form: Form) -> Response:
    query = query_of(request)
    key, name, id = named(query), group_named(query), query.get("id", "")
    back = link("/streams/pending", key=key, group=name, id=id)
    try:
        one = await _pending(request, key, name, id)
        warning = f"The group never gets it again. {'' if one is None else _warning(key, one)}".strip()
        question = f"Acknowledge the entry {label(id)} for the group {label(name)}?"
        if asked := confirm(request, form, question, "Acknowledge it", back, warning):
            return asked
        done = await sent(request, (b"XACK", key, name, raw(id)))
    except RedisError as error:
        return await _page(request, Refusal.of("acknowledge", error, form))
    notice = "The entry was acknowledged." if done else "The entry was not pending any more."
    return acted(
        request, group_link(key, name), notice, "acknowledge entry", stream=decoded(key), group=decoded(name), id=id,
        acknowledged=done,
    )  # fmt: skip


async def _claim(request: Request, form: Form) -> Response:
    query = query_of(request)
    key, name, id, idle = named(query), group_named(query), query.get("id", ""), query.get("idle", "0")
    back = link("/streams/pending", key=key, group=name, id=id)
    try:
        consumer = entered(form.get("consumer", ""), form.get("notation", TEXT))
        if not consumer:
            raise Unreadable("A name is needed.")
        one = await _pending(request, key, name, id)
        warning = (
            f"{label(consumer)} gets it when it reads what it has pending. {'' if one is None else _warning(key, one)}"
        )
        question = f"Give the entry {label(id)} to the consumer {label(consumer)}?"
        if asked := confirm(request, form, question, "Claim it", back, warning.strip()):
            return asked
        # JUSTID: nobody gets it now, so it is no delivery that counts
        claimed = await sent(request, (b"XCLAIM", key, name, consumer, raw(idle), raw(id), b"JUSTID"))
    except (Unreadable, RedisError) as error:
        return await _page(request, Refusal.of("claim", error, form))
    if not claimed:
        return await _page(
            request, Refusal("claim", "It was delivered again meanwhile: this is who has it now.", form, 409)
        )
    return acted(
        request, group_link(key, name), f"{label(consumer)} has the entry now.", "claim entry", stream=decoded(key),
        group=decoded(name), consumer=decoded(consumer), id=id,
    )  # fmt: skip


ROUTES = [
    Route("/streams/pending", _show),
    form_route("/streams/acknowledge", _acknowledge),
    form_route("/streams/claim", _claim),
]
