"""One consumer group: its consumers, what these have pending, and its policy."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console import stream_entries
from consumers.console.access.guard import visit_of
from consumers.console.pages.addressed import GROUP_LIMIT, found_group, group_link, group_named, named
from consumers.console.refusals import NOTHING_REFUSED, Refusal
from consumers.console.stream_policies import GROUP, group_form, told
from consumers.console.views import link, query_of, render

__all__ = ["ROUTES", "show"]

PENDING = 50
"""Pending entries on a page."""


async def show(request: Request, refusal: Refusal = NOTHING_REFUSED) -> Response:
    """Return a group's page. refusal: of one of its forms."""
    query = query_of(request)
    key, name, after = named(query), group_named(query), query.get("after")
    async with visit_of(request).server.client() as client:
        group = await found_group(client, key, name)
        consumers = await stream_entries.consumers_of(client, key, group)
        try:
            pending, position = await stream_entries.pending(client, key, name, after, PENDING)
        except ValueError:
            raise HTTPException(400, "There is no such page of entries.") from None
        policy = await group_form(client, key, name)
    facts, set_options = told(GROUP, group.facts)
    return render(
        request, "group.html", refusal.status, key=key, facts=facts, set_options=set_options,
        group=group, consumers=consumers, found=pending, policy=policy,
        refusal=refusal, limit=GROUP_LIMIT, paged=after is not None, first=group_link(key, name),
        following=None if position is None else group_link(key, name, position),
        form=lambda action, **more: link(f"/streams/{action}", key=key, group=name, **more),
    )  # fmt: skip


async def _group(request: Request) -> Response:
    return await show(request)


ROUTES = [Route("/streams/group", _group)]
