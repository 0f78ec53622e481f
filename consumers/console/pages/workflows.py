"""Workflows: those that are kept, and one as a graph."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.labels import label
from consumers.console.views import Page, acted, confirm, link, query_of, render
from consumers.console.workflows import DRAWN, draw, find, read
from consumers.jobs import Queue
from consumers.jobs.flow_handles import FlowState, RunningFlow

__all__ = ["PAGE"]

SHOWN = 100
"""Workflows on a page."""


async def _show(request: Request) -> Response:
    after = query_of(request).get("after")
    async with visit_of(request).server.client() as client:
        try:
            rows, position = await find(client, after, SHOWN)
        except ValueError:
            raise HTTPException(400, "There is no such page of workflows.") from None
    return render(
        request, "workflows.html", rows=rows, paged=after is not None, first="/workflows",
        following=None if position is None else link("/workflows", after=position),
    )  # fmt: skip


def _named(request: Request) -> tuple[str, str]:
    """Return the queue and the ID that the query names. Raises HTTPException."""
    query = query_of(request)
    queue, id = query.get("queue", ""), query.get("id", "")
    if not queue or not id or "{" in queue or "}" in queue or not f"{queue}{id}".isprintable():
        raise HTTPException(404, "There is no such workflow.")
    return queue, id


async def _one(request: Request) -> Response:
    queue, id = _named(request)
    async with visit_of(request).server.client() as client:
        found = await read(client, queue, id)
    if found is None:
        raise HTTPException(404, "There is no such workflow any more.")
    whole = len(found.nodes) == found.row.nodes
    return render(
        request, "workflow.html", row=found.row, nodes=found.nodes, running=found.row.state is FlowState.RUNNING,
        graph=draw(found.nodes) if whole and 0 < len(found.nodes) <= DRAWN else None,
    )  # fmt: skip


async def _cancel(request: Request, form: Form) -> Response:
    queue, id = _named(request)
    back = link("/workflows/workflow", queue=queue, id=id)
    question = f"Cancel the workflow {label(id)} of {label(queue)}? Its jobs that are running are told to stop."
    if asked := confirm(request, form, question, "Cancel it", back):
        return asked
    async with visit_of(request).server.client() as client, Queue(queue).open(client) as opened:
        cancelled = await RunningFlow(opened, id).cancel()
    notice = "The workflow is cancelled." if cancelled else "All of it had ended already."
    return acted(request, back, notice, "cancel workflow", queue=queue, id=id, cancelled=int(cancelled))


PAGE = Page(
    "Workflows", "/workflows",
    [Route("/workflows", _show), Route("/workflows/workflow", _one), form_route("/workflows/cancel", _cancel)],
)  # fmt: skip
