"""Entries of streams: shown, added and deleted; dead letters and their way back."""

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
from consumers.console.pages.addressed import named, sent, stream_link
from consumers.console.refusals import NOTHING_REFUSED, Refusal
from consumers.console.stream_policies import has_policies
from consumers.console.views import acted, confirm, link, query_of, render
from consumers.errors import ConsumerError
from consumers.names import decoded

__all__ = ["ROUTES", "dead_jobs_of"]

FIELDS = 200
FIELD = 5000
"""Fields of an entry on its own page, and characters of each."""

PAIRS = 6
"""Fields that an entry can have that is added by hand."""

HANDLE = "@"
"""How the handle begins that a delayed entry has until it is added (docs/policies.md)."""

_DEAD_JOBS = re.compile(rb"jobs:\{([^{}]+)\}:dead")


def dead_jobs_of(key: bytes) -> bytes | None:
    """Return the name of the job queue whose dead jobs the stream holds; None if it is no such stream."""
    found = _DEAD_JOBS.fullmatch(key)
    return None if found is None else found[1]


async def _entry(request: Request) -> Response:
    query = query_of(request)
    key, id = named(query), query.get("id", "")
    async with visit_of(request).server.client() as client:
        found = await stream_entries.entry(client, key, id)
    if found is None:
        raise HTTPException(404, "There is no such entry any more.")
    redrivable = found.letter is not None and dead_jobs_of(key) is None
    return render(
        request, "entry.html", key=key, entry=found, fields=stream_entries.field_views(found, FIELDS, FIELD),
        left_out=max(0, len(found.fields) - FIELDS), redrivable=redrivable,
    )  # fmt: skip


async def _delete(request: Request, form: Form) -> Response:
    query = query_of(request)
    key, id = named(query), query.get("id", "")
    back = link("/streams/stream", key=key)
    if asked := confirm(request, form, f"Delete the entry {label(id)} of {label(key)}?", "Delete it", back):
        return asked
    deleted = await sent(request, (b"XDEL", key, raw(id)))
    notice = "The entry was deleted." if deleted else "There was no such entry any more."
    return acted(request, back, notice, "delete entry", stream=decoded(key), id=id, deleted=int(bool(deleted)))


async def _new(request: Request) -> Response:
    return await _show_new(request, NOTHING_REFUSED)


async def _show_new(request: Request, refusal: Refusal) -> Response:
    query = query_of(request)
    key = raw(query["key"]) if "key" in query else None
    async with visit_of(request).server.client() as client:
        delays = await has_policies(client)
    return render(
        request, "new_entry.html", refusal.status, key=key, pairs=range(PAIRS), delays=delays, refusal=refusal,
        add=link("/streams/add", key=key),
    )  # fmt: skip


async def _add(request: Request, form: Form) -> Response:
    query, notation = query_of(request), form.get("notation", TEXT)
    id, delay = form.get("id", "").strip() or "*", form.get("delay", "").strip()
    try:
        key = raw(query["key"]) if "key" in query else entered(form.get("stream", ""), notation)
        parts = [
            entered(form.get(f"{part}-{number}", ""), notation)
            for number in range(PAIRS) if form.get(f"field-{number}") or form.get(f"value-{number}")
            for part in ("field", "value")
        ]  # fmt: skip
        if not parts:
            raise Unreadable("An entry needs at least one field.")
        back = "/streams" if "key" not in query else stream_link(key)
        later = f" in {label(delay)} milliseconds" if delay else ""
        question = f"Add an entry of {len(parts) // 2} fields to {label(key)}{later}?"
        if asked := confirm(request, form, question, "Add it", back):
            return asked
        added = await sent(request, (b"XADD", key, *((b"DELAY", raw(delay)) if delay else ()), raw(id), *parts))
    except (Unreadable, RedisError) as error:
        return await _show_new(request, Refusal.of("add", error, form))
    name = label(added) if isinstance(added, bytes) else ""
    notice, after = f"The entry {name} was added.", stream_link(key)
    if name.startswith(HANDLE):
        # a new stream is not there before
        notice, after = f"The entry will be added. With its handle {name}, XDEL cancels that.", back
    return acted(request, after, notice, "add entry", stream=decoded(key), id=name)


async def _redrive(request: Request, form: Form) -> Response:
    query = query_of(request)
    key, id = named(query), query.get("id")
    back = link("/streams/stream", key=key)
    if dead_jobs_of(key) is not None:
        raise HTTPException(409, "These are a job queue's dead jobs: redrive them on the queue's page.")
    what = f"the dead letter {label(id)}" if id else f"the oldest {stream_entries.REDRIVEN} dead letters"
    if asked := confirm(request, form, f"Return {what} of {label(key)} to where it came from?", "Redrive", back):
        return asked
    async with visit_of(request).server.client() as client:
        if id:
            origin = await stream_entries.redrive_one(client, key, id)
            notice = "There is no such dead letter any more." if origin is None else f"It is back in {label(origin)}."
            done = int(origin is not None)
        else:
            try:
                done = await stream_entries.redrive_all(client, key)
            except ConsumerError as error:
                raise HTTPException(409, f"This can't be redriven: {error}.") from None
            notice = "1 dead letter was redriven." if done == 1 else f"{done} dead letters were redriven."
    return acted(request, back, notice, "redrive", stream=decoded(key), id=id, redriven=done)


ROUTES = [
    Route("/streams/entry", _entry),
    Route("/streams/new-entry", _new),
    form_route("/streams/add", _add),
    form_route("/streams/delete", _delete),
    form_route("/streams/redrive", _redrive),
]
