"""Streams: their entries as they come, their groups and what these have pending, dead letters and their way back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
from coredis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.connecting import Client
from consumers.console import stream_entries
from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.asking import ask
from consumers.console.entered import TEXT, Unreadable, entered, raw
from consumers.console.labels import label
from consumers.console.pages.streaming import Push, pushed_stream
from consumers.console.stream_entries import Entry, Group, StreamDetails
from consumers.console.streams import StreamFigures
from consumers.console.values import View
from consumers.console.views import Page, acted, confirm, link, query_of, render
from consumers.errors import ConsumerError

__all__ = ["PAGE"]

SHOWN = 100
"""Streams that are shown at a time; the search finds the others."""

ENTRIES = 50
"""Entries, or pending ones, on a page."""

CELL, FOLLOWED_CELL = 300, 1000
"""Characters of a field in a table, and of all fields of an entry that is followed."""

FIELDS = 200
FIELD = 5000
"""Fields of an entry on its own page, and characters of each."""

PAIRS = 6
"""Fields that an entry can have that is added by hand."""

NAME_LIMIT, GROUP_LIMIT = 1500, 500
"""Bytes of the longest stream, and group, that has a page: as with keys, an address can't be longer."""

WAIT = 0.15
"""Seconds that a page waits for figures; afterwards it shows older ones, or none."""

ORDERS = {"name": "Name", "entries": "Most entries", "pending": "Most pending", "lag": "Largest lag"}

_DEAD_JOBS = re.compile(rb"jobs:\{([^{}]+)\}:dead")


@dataclass(frozen=True, slots=True)
class Row:
    """A stream in the list. lag: the largest of its groups; None if no group's is known."""

    name: bytes
    entries: int
    groups: int
    pending: int
    lag: int | None
    oldest: float | None
    dead: int | None


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry in a list. left_out: fields that are not shown."""

    entry: Entry
    fields: list[tuple[bytes, View]]
    left_out: int


# The list.


async def _show(request: Request) -> Response:
    query, watch = query_of(request), visit_of(request).viewpoint.streams
    search, order = query.get("search", ""), query.get("order", "name")
    if order not in ORDERS:
        raise HTTPException(400, "Streams can't be ordered by that.")
    found = await watch.latest(WAIT)
    if found is None and watch.error is not None:
        raise HTTPException(502, f"The streams can't be read: {watch.error}")
    matching = [_row(one) for one in found or () if raw(search).lower() in one.name.lower()]
    if order != "name":
        matching.sort(key=lambda one: -(getattr(one, order) or 0))
    return render(
        request, "streams.html", streams=matching[:SHOWN], matching=len(matching), total=len(found or ()),
        found=found is not None, error=watch.error, search=search, order=order, orders=ORDERS, limit=NAME_LIMIT,
    )  # fmt: skip


def _row(one: StreamFigures) -> Row:
    lags = [group.lag for group in one.groups if group.lag is not None]
    ages = [group.oldest for group in one.groups if group.oldest is not None]
    dead = [group.dead for group in one.groups if group.dead is not None]
    return Row(
        name=one.name, entries=one.entries, groups=len(one.groups) + one.left_out,
        pending=sum(group.pending for group in one.groups), lag=max(lags, default=None),
        oldest=max(ages, default=None), dead=sum(dead) if dead else None,
    )  # fmt: skip


# One stream.


async def _stream(request: Request) -> Response:
    query = query_of(request)
    key, after = _named(query), query.get("after")
    async with visit_of(request).server.client() as client:
        details = await _found(client, key)
        try:
            found, position = await stream_entries.entries(client, key, after, ENTRIES)
        except ValueError:
            raise HTTPException(400, "There is no such page of entries.") from None
    queue = _DEAD_JOBS.fullmatch(key)
    return render(
        request, "stream.html", key=key, details=details, rows=[_entry_row(one) for one in found],
        paged=after is not None, first=link("/streams/stream", key=key),
        following=None if position is None else link("/streams/stream", key=key, after=position),
        dead=any(one.letter is not None for one in found),
        queue=None if queue is None else link("/queues/queue", library="consumers", name=queue[1], state="dead"),
        events=link("/streams/events", key=key), limit=GROUP_LIMIT, most=stream_entries.REDRIVEN,
    )  # fmt: skip


def _named(query: Mapping[str, str]) -> bytes:
    """Return the stream that the query names. Raises HTTPException."""
    if "key" not in query:
        raise HTTPException(404, "There is no such stream.")
    return raw(query["key"])


async def _found(client: Client, key: bytes) -> StreamDetails:
    details = await stream_entries.details(client, key)
    if details is None:
        raise HTTPException(404, "There is no such stream.")
    return details


def _entry_row(one: Entry) -> EntryRow:
    most = stream_entries.FIELDS
    return EntryRow(one, stream_entries.field_views(one, most, CELL), max(0, len(one.fields) - most))


async def _events(request: Request) -> Response:
    """Send what is added: the texts of a row for each entry, newest first."""
    key, server = _named(query_of(request)), visit_of(request).server

    async def produce(push: Push) -> None:
        async def added(found: list[Entry], more: bool) -> None:
            await push({"rows": [_texts(one) for one in found], "note": "Some were left out." if more else ""})

        reason = await stream_entries.follow(server, key, added)
        await push({"rows": [], "note": f"No longer followed: {reason}"})
        # else browsers would try again at once
        await anyio.sleep(10)

    return pushed_stream(request, produce)


def _texts(one: Entry) -> list[str]:
    views = stream_entries.field_views(one, stream_entries.FIELDS, CELL)
    text = "\n".join(f"{label(name)}: {view.text}{'…' if view.cut else ''}" for name, view in views)
    return [one.id, f"{text[:FOLLOWED_CELL]}…" if len(text) > FOLLOWED_CELL else text]


# One entry.


async def _entry(request: Request) -> Response:
    query = query_of(request)
    key, id = _named(query), query.get("id", "")
    async with visit_of(request).server.client() as client:
        found = await stream_entries.entry(client, key, id)
    if found is None:
        raise HTTPException(404, "There is no such entry any more.")
    redrivable = found.letter is not None and stream_entries.redrivable(found.letter) and not _DEAD_JOBS.fullmatch(key)
    return render(
        request, "entry.html", key=key, entry=found, fields=stream_entries.field_views(found, FIELDS, FIELD),
        left_out=max(0, len(found.fields) - FIELDS), redrivable=redrivable,
    )  # fmt: skip


async def _delete(request: Request, form: Form) -> Response:
    query = query_of(request)
    key, id = _named(query), query.get("id", "")
    back = link("/streams/stream", key=key)
    if asked := confirm(request, form, f"Delete the entry {label(id)} of {label(key)}?", "Delete it", back):
        return asked
    deleted = await _sent(request, (b"XDEL", key, raw(id)))
    notice = "The entry was deleted." if deleted else "There was no such entry any more."
    return acted(request, back, notice, "delete entry", stream=_logged(key), id=id, deleted=int(bool(deleted)))


async def _sent(request: Request, command: tuple[str | bytes | int, ...]) -> object:
    """Return the reply to a command for one key. Raises the server's refusal."""
    async with visit_of(request).server.client() as client:
        (reply,) = await ask(client, [command])
    if isinstance(reply, RedisError):
        raise reply
    return reply


def _logged(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


async def _new(request: Request) -> Response:
    query = query_of(request)
    return render(
        request, "new_entry.html", key=raw(query["key"]) if "key" in query else None, pairs=range(PAIRS),
        add=link("/streams/add", key=raw(query["key"])) if "key" in query else "/streams/add",
    )  # fmt: skip


async def _add(request: Request, form: Form) -> Response:
    query, notation, id = query_of(request), form.get("notation", TEXT), form.get("id", "").strip() or "*"
    try:
        key = raw(query["key"]) if "key" in query else entered(form.get("stream", ""), notation)
        parts = [
            entered(form.get(f"{part}-{number}", ""), notation)
            for number in range(PAIRS) if form.get(f"field-{number}") or form.get(f"value-{number}")
            for part in ("field", "value")
        ]  # fmt: skip
    except Unreadable as error:
        raise HTTPException(400, str(error)) from None
    if not parts:
        raise HTTPException(400, "An entry needs at least one field.")
    back = link("/streams/stream", key=key) if len(key) <= NAME_LIMIT else "/streams"
    question = f"Add an entry of {len(parts) // 2} fields to {label(key)}?"
    if asked := confirm(request, form, question, "Add it", "/streams" if "key" not in query else back):
        return asked
    added = await _sent(request, (b"XADD", key, raw(id), *parts))
    name = label(added) if isinstance(added, bytes) else ""
    return acted(request, back, f"The entry {name} was added.", "add entry", stream=_logged(key), id=name)


async def _redrive(request: Request, form: Form) -> Response:
    query = query_of(request)
    key, id = _named(query), query.get("id")
    back = link("/streams/stream", key=key)
    if _DEAD_JOBS.fullmatch(key):
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
                done = await stream_entries.redrive_all(client, _decoded(key))
            except ConsumerError as error:
                raise HTTPException(409, f"This can't be redriven: {error}.") from None
            notice = "1 dead letter was redriven." if done == 1 else f"{done} dead letters were redriven."
    return acted(request, back, notice, "redrive", stream=_logged(key), id=id, redriven=done)


def _decoded(key: bytes) -> str:
    try:
        return key.decode()
    except UnicodeDecodeError:
        raise HTTPException(409, "The letters of a stream whose name is no text are redriven one by one.") from None


# One group.


async def _group(request: Request) -> Response:
    query = query_of(request)
    key, name, after = _named(query), raw(query.get("group", "")), query.get("after")
    async with visit_of(request).server.client() as client:
        details = await _found(client, key)
        group = next((one for one in details.groups if one.name == name), None)
        if group is None:
            raise HTTPException(404, "There is no such group.")
        consumers = await stream_entries.consumers_of(client, key, group)
        try:
            found, position = await stream_entries.pending(client, key, name, after, ENTRIES)
        except ValueError:
            raise HTTPException(400, "There is no such page of entries.") from None
    return render(
        request, "group.html", key=key, group=group, consumers=consumers, found=found, paged=after is not None,
        first=_group_link(key, group), following=None if position is None else _group_link(key, group, position),
    )  # fmt: skip


def _group_link(key: bytes, group: Group, after: str | None = None) -> str:
    return link("/streams/group", key=key, group=group.name, after=after)


PAGE = Page(
    "Streams", "/streams",
    [
        Route("/streams", _show),
        Route("/streams/stream", _stream),
        Route("/streams/events", _events),
        Route("/streams/entry", _entry),
        Route("/streams/group", _group),
        Route("/streams/new-entry", _new),
        form_route("/streams/add", _add),
        form_route("/streams/delete", _delete),
        form_route("/streams/redrive", _redrive),
    ],
)  # fmt: skip
