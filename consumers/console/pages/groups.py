"""One consumer group: its consumers, and what these have pending."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console import stream_entries
from consumers.console.access.guard import visit_of
from consumers.console.entered import raw
from consumers.console.pages.addressed import found, named
from consumers.console.stream_entries import Group
from consumers.console.views import link, query_of, render

__all__ = ["ROUTES"]

PENDING = 50
"""Pending entries on a page."""


async def _group(request: Request) -> Response:
    query = query_of(request)
    key, name, after = named(query), raw(query.get("group", "")), query.get("after")
    async with visit_of(request).server.client() as client:
        details = await found(client, key)
        group = next((one for one in details.groups if one.name == name), None)
        if group is None:
            raise HTTPException(404, "There is no such group.")
        consumers = await stream_entries.consumers_of(client, key, group)
        try:
            pending, position = await stream_entries.pending(client, key, name, after, PENDING)
        except ValueError:
            raise HTTPException(400, "There is no such page of entries.") from None
    return render(
        request, "group.html", key=key, group=group, consumers=consumers, found=pending, paged=after is not None,
        first=_group_link(key, group), following=None if position is None else _group_link(key, group, position),
    )  # fmt: skip


def _group_link(key: bytes, group: Group, after: str | None = None) -> str:
    return link("/streams/group", key=key, group=group.name, after=after)


ROUTES = [Route("/streams/group", _group)]
