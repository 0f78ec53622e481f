"""Streams: the list of them, and the pages below it."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console.access.guard import visit_of
from consumers.console.entered import raw
from consumers.console.pages import entries, groups, stream
from consumers.console.pages.addressed import NAME_LIMIT
from consumers.console.streams import StreamFigures
from consumers.console.views import Page, query_of, render

__all__ = ["PAGE"]

SHOWN = 100
"""Streams that are shown at a time; the search finds the others."""

WAIT = 0.15
"""Seconds that a page waits for figures; afterwards it shows older ones, or none."""

ORDERS = {"name": "Name", "entries": "Most entries", "pending": "Most pending", "lag": "Largest lag"}


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


PAGE = Page("Streams", "/streams", [Route("/streams", _show), *stream.ROUTES, *entries.ROUTES, *groups.ROUTES])
