"""Streams: the list of them, and the pages below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console.access.guard import visit_of
from consumers.console.entered import raw
from consumers.console.pages import entries, group_changes, groups, partitions, pending, policies, stream
from consumers.console.pages.addressed import NAME_LIMIT
from consumers.console.pages.streaming import Rows, event_stream, row_key, updates
from consumers.console.streams import StreamFigures
from consumers.console.views import Page, count, duration, link, query_of, render
from consumers.console.watch import GLANCE

__all__ = ["PAGE"]

SHOWN = 100
"""Streams that are shown at a time; the search finds the others."""

ORDERS = {"name": "Name", "entries": "Most entries", "pending": "Most pending", "lag": "Largest lag"}


async def _show(request: Request) -> Response:
    query, watch = query_of(request), visit_of(request).viewpoint.streams
    found = await watch.latest(GLANCE)
    # no message on the page would say why it is empty
    if found is None and watch.error is not None:
        raise HTTPException(502, f"The streams can't be read: {watch.error}")
    chosen, matching = _chosen(found or (), query)
    search, order = query.get("search", ""), query.get("order", "name")
    return render(
        request, "streams.html", streams=chosen, matching=matching, total=len(found or ()), found=found is not None,
        error=watch.error, search=search, order=order, orders=ORDERS, limit=NAME_LIMIT, key=row_key, cells=_cells,
        events=link("/streams/figures/events", search=query.get("search"), order=query.get("order")),
    )  # fmt: skip


def _chosen(found: Sequence[StreamFigures], query: Mapping[str, str]) -> tuple[list[StreamFigures], int]:
    """Return the streams that a query asks for, as many as are shown, and how many match. Raises HTTPException."""
    search, order = raw(query.get("search", "")).lower(), query.get("order", "name")
    if order not in ORDERS:
        raise HTTPException(400, "Streams can't be ordered by that.")
    matching = [one for one in found if search in one.name.lower()]
    if order != "name":
        matching.sort(key=lambda one: -(getattr(one, order) or 0))
    return matching[:SHOWN], len(matching)


def _cells(one: StreamFigures) -> dict[str, str]:
    return {
        "entries": count(one.entries), "groups": count(len(one.groups) + one.left_out), "pending": count(one.pending),
        "lag": count(one.lag), "oldest": duration(one.oldest), "dead": count(one.dead),
    }  # fmt: skip


async def _figures(request: Request) -> Response:
    """Send the list's figures as they change."""
    query, watch = query_of(request), visit_of(request).viewpoint.streams
    _chosen((), query)
    return event_stream(request, updates(watch, lambda found: _rows(found, query)))


def _rows(found: Sequence[StreamFigures], query: Mapping[str, str]) -> Rows:
    chosen, _ = _chosen(found, query)
    return {row_key(one.name): _cells(one) for one in chosen}


PAGE = Page(
    "Streams", "/streams",
    [
        Route("/streams", _show), Route("/streams/figures/events", _figures), *stream.ROUTES, *entries.ROUTES,
        *groups.ROUTES, *group_changes.ROUTES, *partitions.ROUTES, *pending.ROUTES, *policies.ROUTES,
    ],
)  # fmt: skip
