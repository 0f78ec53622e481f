"""One queue: figures and charts that go on, jobs by state, one job, and what can be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.labels import label
from consumers.console.pages.charts import Chart, Line, Unit
from consumers.console.pages.streaming import event_stream, updates
from consumers.console.queues.library import Action, Figures, JobDetails, Library, Refused, Scope, State
from consumers.console.queues.rates import Past
from consumers.console.viewpoint import Viewpoint
from consumers.console.views import acted, change, confirm, count, duration, link, query_of, rate, render

__all__ = ["ROUTES", "cells"]

JOBS = 50
"""Jobs on one page."""

WORDS = {
    State.WAITING: "Waiting", State.RUNNING: "Running", State.DELAYED: "Delayed", State.PARKED: "Parked",
    State.DEAD: "Dead", State.DONE: "Done",
}  # fmt: skip

DEPTH = Chart("Jobs", Unit.COUNT, [Line("waiting", "waiting"), Line("running", "running")])
SPEED = Chart("Jobs a second", Unit.COUNT, [Line("added", "added"), Line("finished", "finished")])


def cells(one: Figures, past: Past) -> dict[str, str]:
    """Return the texts of a queue's figures, as the list and its own page show them."""
    rates = past.rates(one.library, one.name)
    return {
        "waiting": count(one.waiting), "running": count(one.running), "delayed": count(one.delayed),
        "dead": count(one.dead), "oldest": duration(one.oldest), "workers": count(one.workers),
        "paused": "paused" if one.paused else "", "change": change(rates.change), "added": rate(rates.added),
        "finished": rate(rates.finished),
    }  # fmt: skip


async def _queue(request: Request) -> Response:
    query, viewpoint = query_of(request), visit_of(request).viewpoint
    library, name = _named(viewpoint, query)
    state = _state(library, query.get("state") or library.states[0])
    async with viewpoint.server.client() as client:
        try:
            [figures] = await library.figures(client, [name])
            viewpoint.past.note([figures])
            jobs, after = await library.jobs(client, name, state, query.get("after"), JOBS)
        except Refused as error:
            raise HTTPException(404, str(error)) from None
        except ValueError:
            raise HTTPException(400, "There is no such page of jobs.") from None
    return render(
        request, "queue.html",
        library=library, name=name, figures=figures, cells=cells(figures, viewpoint.past), state=state, jobs=jobs,
        words=WORDS, after=after, paged="after" in query, queue_actions=_actions(library, Scope.QUEUE),
        state_actions=_actions(library, Scope.STATE, state), shown=_charts(figures),
        events=link("/queues/queue/events", library=library.name, name=name),
    )  # fmt: skip


def _charts(figures: Figures) -> list[Chart]:
    """Return the charts of what the library's format tells."""
    depth = DEPTH if figures.running is not None else Chart("Jobs waiting", Unit.COUNT, [Line("waiting")])
    if figures.finished is not None:
        return [depth, SPEED]
    return [depth] if figures.added is None else [depth, Chart("Jobs added a second", Unit.COUNT, [Line("added")])]


async def _events(request: Request) -> Response:
    viewpoint = visit_of(request).viewpoint
    library, name = _named(viewpoint, query_of(request))
    past = viewpoint.past
    return event_stream(
        request,
        updates(
            viewpoint.queue(library, name), lambda found: {"queue": cells(found, past)},
            lambda after: past.samples(library.name, name, after),
        ),
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
    viewpoint.queue(library, name).expire()
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


ROUTES: list[BaseRoute] = [
    Route("/queues/queue", _queue),
    Route("/queues/queue/events", _events),
    Route("/queues/job", _job),
    form_route("/queues/act", _act),
]
