"""One stream: its entries as they come, and its groups."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
from coredis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console import stream_entries
from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.entered import raw
from consumers.console.labels import label
from consumers.console.pages.addressed import GROUP_LIMIT, found, named, sent, stream_link
from consumers.console.pages.entries import dead_jobs_of
from consumers.console.pages.streaming import Push, pushed_stream
from consumers.console.partitioned import numbers_of_partitions, whole_of
from consumers.console.refusals import NOTHING_REFUSED, Refusal
from consumers.console.stream_entries import Entry
from consumers.console.stream_policies import STREAM, stream_form, told
from consumers.console.values import View
from consumers.console.views import acted, confirm, count, link, query_of, render
from consumers.names import decoded

__all__ = ["ROUTES", "show"]

ENTRIES = 50
"""Entries on a page."""

STRATEGIES = {"maxlen": "its newest {} entries", "minid": "entries from {} on"}
"""What is kept, by the option of XTRIM."""

CELL, FOLLOWED_CELL = 300, 1000
"""Characters of a field in a table, and of all fields of an entry that is followed."""


@dataclass(frozen=True, slots=True)
class EntryRow:
    """An entry in a list. left_out: fields that are not shown."""

    entry: Entry
    fields: list[tuple[bytes, View]]
    left_out: int


async def show(request: Request, refusal: Refusal = NOTHING_REFUSED) -> Response:
    """Return a stream's page. refusal: of one of its forms."""
    query = query_of(request)
    key, after = named(query), query.get("after")
    async with visit_of(request).server.client() as client:
        details = await found(client, key)
        try:
            entries, position = await stream_entries.entries(client, key, after, ENTRIES)
        except ValueError:
            raise HTTPException(400, "There is no such page of entries.") from None
        policy = await stream_form(client, key)
        whole = whole_of(key, await numbers_of_partitions(client, [key]))
    queue = dead_jobs_of(key)
    facts, set_options = told(STREAM, details.facts)
    return render(
        request, "stream.html", refusal.status, key=key, facts=facts, set_options=set_options,
        details=details, policy=policy, refusal=refusal,
        whole=whole,
        rows=[_entry_row(one) for one in entries],
        paged=after is not None, first=link("/streams/stream", key=key),
        following=None if position is None else link("/streams/stream", key=key, after=position),
        dead=any(one.letter is not None for one in entries),
        queue=None if queue is None else link("/queues/queue", library="consumers", name=queue, state="dead"),
        events=link("/streams/events", key=key), limit=GROUP_LIMIT, most=stream_entries.REDRIVEN,
    )  # fmt: skip


async def _stream(request: Request) -> Response:
    return await show(request)


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


async def _trim(request: Request, form: Form) -> Response:
    key = named(query_of(request))
    strategy, threshold = form.get("strategy", ""), form.get("threshold", "").strip()
    if strategy not in STRATEGIES:
        raise HTTPException(400, "Streams can't be trimmed like that.")
    try:
        length = await sent(request, (b"XLEN", key))
        gone = ""
        if strategy == "maxlen" and threshold.isdecimal():
            gone = f"{count(max(0, length - int(threshold[:20])))} of its {count(length)} entries are removed. "
        question = f"Trim {label(key)} to {STRATEGIES[strategy].format(label(threshold))}?"
        warning = f"{gone}What is removed is gone for all groups, also for those that have not read it."
        if asked := confirm(request, form, question, "Trim it", stream_link(key), warning):
            return asked
        removed = await sent(request, (b"XTRIM", key, strategy.upper(), raw(threshold)))
    except RedisError as error:
        return await show(request, Refusal.of("trim", error, form))
    notice = "1 entry was removed." if removed == 1 else f"{count(removed)} entries were removed."
    return acted(
        request, stream_link(key), notice, "trim stream", stream=decoded(key), strategy=strategy, threshold=threshold,
        removed=removed,
    )  # fmt: skip


ROUTES = [
    Route("/streams/stream", _stream),
    Route("/streams/events", _events),
    form_route("/streams/trim", _trim),
]
