"""One stream: its entries as they come, and its groups."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console import stream_entries
from consumers.console.access.guard import visit_of
from consumers.console.labels import label
from consumers.console.pages.addressed import GROUP_LIMIT, found, named
from consumers.console.pages.entries import dead_jobs_of
from consumers.console.pages.streaming import Push, pushed_stream
from consumers.console.stream_entries import Entry
from consumers.console.values import View
from consumers.console.views import link, query_of, render

__all__ = ["ROUTES"]

ENTRIES = 50
"""Entries on a page."""

CELL, FOLLOWED_CELL = 300, 1000
"""Characters of a field in a table, and of all fields of an entry that is followed."""


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry in a list. left_out: fields that are not shown."""

    entry: Entry
    fields: list[tuple[bytes, View]]
    left_out: int


async def _stream(request: Request) -> Response:
    query = query_of(request)
    key, after = named(query), query.get("after")
    async with visit_of(request).server.client() as client:
        details = await found(client, key)
        try:
            entries, position = await stream_entries.entries(client, key, after, ENTRIES)
        except ValueError:
            raise HTTPException(400, "There is no such page of entries.") from None
    queue = dead_jobs_of(key)
    return render(
        request, "stream.html", key=key, details=details, rows=[_entry_row(one) for one in entries],
        paged=after is not None, first=link("/streams/stream", key=key),
        following=None if position is None else link("/streams/stream", key=key, after=position),
        dead=any(one.letter is not None for one in entries),
        queue=None if queue is None else link("/queues/queue", library="consumers", name=queue, state="dead"),
        events=link("/streams/events", key=key), limit=GROUP_LIMIT, most=stream_entries.REDRIVEN,
    )  # fmt: skip


def _entry_row(one: Entry) -> EntryRow:
    most = stream_entries.FIELDS
    return EntryRow(one, stream_entries.field_views(one, most, CELL), max(0, len(one.fields) - most))


async def _events(request: Request) -> Response:
    """Send what is added: the texts of a row for each entry, newest first."""
    key, server = named(query_of(request)), visit_of(request).server

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


ROUTES = [Route("/streams/stream", _stream), Route("/streams/events", _events)]
