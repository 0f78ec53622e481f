"""The queues of all job libraries: figures that update themselves, jobs by state, one job, and what can be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.labels import label
from consumers.console.pages.streaming import Rows, event_stream, updates
from consumers.console.queues.library import Action, Figures, JobDetails, Library, Refused, Scope, State
from consumers.console.viewpoint import Queues, Viewpoint
from consumers.console.views import Page, acted, confirm, count, duration, link, query_of, render
from consumers.console.watch import GLANCE

__all__ = ["PAGE"]

SHOWN = 200
"""Queues that are shown at a time; the search finds the others."""

JOBS = 50
"""Jobs on one page."""

ORDERS = {
    "name": "Name", "waiting": "Most waiting", "running": "Most running", "delayed": "Most delayed",
    "dead": "Most dead", "oldest": "Oldest job",
}  # fmt: skip

WORDS = {
    State.WAITING: "Waiting", State.RUNNING: "Running", State.DELAYED: "Delayed", State.PARKED: "Parked",
    State.DEAD: "Dead", State.DONE: "Done",
}  # fmt: skip


# The list.


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
        order=query.get("order", "name"), orders=ORDERS, key=_key,
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


def _cells(one: Figures) -> dict[str, str]:
    return {
        "waiting": count(one.waiting), "running": count(one.running), "delayed": count(one.delayed),
        "dead": count(one.dead), "oldest": duration(one.oldest), "workers": count(one.workers),
        "paused": "paused" if one.paused else "",
    }  # fmt: skip


async def _events(request: Request) -> Response:
    query, watch = query_of(request), visit_of(request).viewpoint.queues
    _chosen(None, query)
    return event_stream(request, updates(watch, lambda found: _rows(found, query)))


def _rows(found: Queues, query: Mapping[str, str]) -> Rows:
    chosen, _ = _chosen(found, query)
    return {_key(one): _cells(one) for one in chosen}


# One queue.


async def _queue(request: Request) -> Response:
    query, viewpoint = query_of(request), visit_of(request).viewpoint
    library, name = _named(viewpoint, query)
    state = _state(library, query.get("state") or library.states[0])
    async with viewpoint.server.client() as client:
        try:
            [figures] = await library.figures(client, [name])
            jobs, after = await library.jobs(client, name, state, query.get("after"), JOBS)
        except Refused as error:
            raise HTTPException(404, str(error)) from None
        except ValueError:
            raise HTTPException(400, "There is no such page of jobs.") from None
    return render(
        request, "queue.html",
        library=library, name=name, figures=figures, cells=_cells(figures), state=state, jobs=jobs, words=WORDS,
        after=after, paged="after" in query, queue_actions=_actions(library, Scope.QUEUE),
        state_actions=_actions(library, Scope.STATE, state),
    )  # fmt: skip


def _named(viewpoint: Viewpoint, query: Mapping[str, str]) -> tuple[Library, str]:
    """Return the library and the name of the queue that a query names. Raises HTTPException."""
    library = viewpoint.discovery.libraries.get(query.get("library", ""))
    name = query.get("name", "")
    if library is None or not name:
        raise HTTPException(404, "There is no such queue.")
    return library, name


def _state(library: Library, text: str) -> State:
    if text not in library.states:
        raise HTTPException(404, f"{library.title} does not list such jobs.")
    return State(text)


def _actions(library: Library, scope: Scope, state: State | None = None) -> Sequence[Action]:
    return [one for one in library.actions if one.scope is scope and (state is None or state in one.states)]


# One job.


async def _job(request: Request) -> Response:
    query, viewpoint = query_of(request), visit_of(request).viewpoint
    library, name = _named(viewpoint, query)
    details = await _details(viewpoint, library, name, query)
    if details is None:
        raise HTTPException(404, "There is no such job any more, or it is elsewhere by now.")
    return render(
        request, "job.html", library=library, name=name, job=details.row, details=details, words=WORDS,
        job_place=query.get("place", ""), actions=_actions(library, Scope.JOB, details.row.state),
    )  # fmt: skip


async def _details(viewpoint: Viewpoint, library: Library, name: str, query: Mapping[str, str]) -> JobDetails | None:
    async with viewpoint.server.client() as client:
        try:
            return await library.job(client, name, query.get("id", ""), query.get("place", ""))
        except Refused as error:
            raise HTTPException(404, str(error)) from None


# Actions.


async def _act(request: Request, form: Form) -> Response:
    query, viewpoint = query_of(request), visit_of(request).viewpoint
    library, name = _named(viewpoint, query)
    action, identifier, place = query.get("action", ""), query.get("id", ""), query.get("place", "")
    state = _state(library, query["state"]) if query.get("state") else None
    scope = Scope.JOB if identifier else Scope.QUEUE if state is None else Scope.STATE
    chosen = next((one for one in _actions(library, scope, state) if one.name == action), None)
    if chosen is None:
        raise HTTPException(404, f"{library.title} has no such action for that.")
    back = link("/queues/queue", library=library.name, name=name, state=state)
    question = f"{_sentence(chosen, label(name), state, label(identifier))} {chosen.warning}".rstrip()
    if asked := confirm(request, form, question, action.capitalize(), back):
        return asked
    async with viewpoint.server.client() as client:
        try:
            done = await library.act(client, name, action, state=state, id=identifier, place=place)
        except Refused as error:
            raise HTTPException(409, str(error)) from None
    viewpoint.queues.expire()
    return acted(
        request, back, done, f"{action} {scope}", library=library.name, queue=name, state=state, id=identifier or None
    )


def _sentence(action: Action, name: str, state: State | None, identifier: str) -> str:
    """Return the question whether to do this."""
    what = {
        Scope.QUEUE: f"the queue {name}",
        Scope.STATE: f"all {state} jobs of {name}",
        Scope.JOB: f"the job {identifier} of {name}",
    }[action.scope]
    return f"{action.name.capitalize()} {what}?"


PAGE = Page(
    "Queues", "/queues",
    [
        Route("/queues", _show),
        Route("/queues/events", _events),
        Route("/queues/queue", _queue),
        Route("/queues/job", _job),
        form_route("/queues/act", _act),
    ],
)  # fmt: skip
