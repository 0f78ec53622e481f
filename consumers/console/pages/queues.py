"""The queues of all job libraries: the list of them, with figures that update themselves."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console.access.guard import visit_of
from consumers.console.pages import queue
from consumers.console.pages.streaming import Rows, event_stream, updates
from consumers.console.queues.library import Figures
from consumers.console.viewpoint import Queues, Viewpoint
from consumers.console.views import Page, link, query_of, render
from consumers.console.watch import GLANCE

__all__ = ["PAGE"]

SHOWN = 200
"""Queues that are shown at a time; the search finds the others."""

ORDERS = {
    "name": "Name", "waiting": "Most waiting", "running": "Most running", "delayed": "Most delayed",
    "dead": "Most dead", "oldest": "Oldest job",
}  # fmt: skip


async def _show(request: Request) -> Response:
    query, viewpoint = query_of(request), visit_of(request).viewpoint
    found = await viewpoint.queues.latest(GLANCE)
    # no message on the page would say why it is empty
    if found is None and viewpoint.queues.error is not None:
        raise HTTPException(502, f"The queues can't be read: {viewpoint.queues.error}")
    chosen, matching = _chosen(found, query)
    return render(
        request, "queues.html",
        found=found, queues=chosen, matching=matching, error=viewpoint.queues.error,
        libraries=viewpoint.discovery.libraries, library=query.get("library", ""), search=query.get("search", ""),
        order=query.get("order", "name"), orders=ORDERS, key=_key, cells=lambda one: queue.cells(one, viewpoint.past),
        events=link("/queues/events", **{name: query.get(name) for name in ("library", "search", "order")}),
    )  # fmt: skip


def _chosen(found: Queues | None, query: Mapping[str, str]) -> tuple[list[Figures], int]:
    """Return the queues that a query asks for, as many as are shown, and how many match. Raises HTTPException."""
    search, library, order = query.get("search", "").strip().lower(), query.get("library"), query.get("order", "name")
    if order not in ORDERS:
        raise HTTPException(400, "Queues can't be ordered by that.")
    every = [] if found is None else found.figures
    matching = [one for one in every if search in one.name.lower() and library in (None, "", one.library)]
    if order == "name":
        matching.sort(key=lambda one: (one.name, one.library))
    else:
        matching.sort(key=lambda one: -float(getattr(one, order) or 0))
    return matching[:SHOWN], len(matching)


def _key(one: Figures) -> str:
    return f"{one.library} {one.name}"


async def _events(request: Request) -> Response:
    query, viewpoint = query_of(request), visit_of(request).viewpoint
    _chosen(None, query)
    return event_stream(request, updates(viewpoint.queues, lambda found: _rows(viewpoint, found, query)))


def _rows(viewpoint: Viewpoint, found: Queues, query: Mapping[str, str]) -> Rows:
    chosen, _ = _chosen(found, query)
    return {_key(one): queue.cells(one, viewpoint.past) for one in chosen}


PAGE = Page(
    "Queues", "/queues", [Route("/queues", _show), Route("/queues/events", _events), *queue.ROUTES],
)  # fmt: skip
