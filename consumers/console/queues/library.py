"""What a reader of a job library offers, and the words that all of them use.

A reader knows how its library stores jobs. It reads a bounded amount for each question, and never creates what a job's
stored form names. What a format does not show is None, not 0, and `unseen` says why. Actions are those that are safe
while the library's workers are running: each is one transaction, or several of bounded size, that leaves the keys as
the library itself would.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from consumers.connecting import Client
from consumers.console.values import View
from consumers.errors import ConsumerError

__all__ = [
    "Action", "Figures", "JobDetails", "JobRow", "Library", "Refused", "Scope", "State", "check", "iso_time",
    "jobs_text", "number_in",
]  # fmt: skip


class Refused(ConsumerError):
    """The action is not possible; the text says why, in one sentence."""


class State(StrEnum):
    """Where a job is, in the words of the console. PARKED: it waits for a place under a limit, or for other jobs."""

    WAITING = "waiting"
    RUNNING = "running"
    DELAYED = "delayed"
    PARKED = "parked"
    DEAD = "dead"
    """It failed for good, and the library keeps it."""
    DONE = "done"


class Scope(StrEnum):
    """What an action is for: a queue, all jobs in one state, or one job."""

    QUEUE = "queue"
    STATE = "state"
    JOB = "job"


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done. states: of which jobs. warning: what to know before, one sentence or none."""

    name: str
    scope: Scope
    states: tuple[State, ...] = ()
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one queue, at one moment; None for what the library's format does not tell.

    delayed: jobs that wait for a time, for a place or for other jobs. dead: failed for good and kept. done: ended well
    and kept. oldest: seconds that the oldest waiting job has waited. added, finished: counters, of which the growth
    matters alone: jobs that were put where workers take them, and those that have gone from there, one way or another.
    exact: False if a figure is extrapolated or has stopped at a limit.
    """

    library: str
    name: str
    waiting: int
    running: int | None = None
    delayed: int | None = None
    dead: int | None = None
    done: int | None = None
    oldest: float | None = None
    paused: bool | None = None
    workers: int | None = None
    added: int | None = None
    finished: int | None = None
    exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """A job in a list. Times are seconds since 1970.

    due: before this, it is not begun. attempts: how often it has been begun. summary: one line, usually its call.
    place: where it was, which a question about the job needs to find it again.
    """

    id: str
    state: State
    function: str | None = None
    enqueued: float | None = None
    due: float | None = None
    attempts: int | None = None
    summary: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDetails:
    """All that is known of a job. error: the last one, with its traceback if that is kept. raw: as it is stored."""

    row: JobRow
    arguments: View | None = None
    result: View | None = None
    error: str | None = None
    raw: tuple[tuple[str, View], ...] = ()


class Library(Protocol):
    """A reader. name: as in addresses; title: as people write it. states: those whose jobs can be listed."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def states(self) -> tuple[State, ...]: ...
    @property
    def actions(self) -> tuple[Action, ...]: ...
    @property
    def streams(self) -> re.Pattern[str] | None:
        """The names of streams that no one has to see beside the queues: parts of these, or not of jobs at all."""

    @property
    def types(self) -> tuple[str, ...]:
        """The types of the keys that `find` is shown, for a library whose names tell nothing; empty: keys of all."""

    @property
    def unseen(self) -> str:
        """What the library's format does not show, in a sentence or two."""

    async def find(self, client: Client, keys: Sequence[bytes]) -> set[str]:
        """Return the queues that some keys of the server belong to, and those in the library's own registries."""

    async def figures(self, client: Client, queues: Sequence[str]) -> list[Figures]:
        """Return the figures of these queues, in order, read in round trips of bounded size."""

    async def jobs(
        self, client: Client, queue: str, state: State, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        """Return a page of jobs, in the order in which they will run, and what to pass as `after` for the next one.

        Jobs move while pages are read: one may be missed or listed twice. Raises ValueError for another `after`.
        """

    async def job(self, client: Client, queue: str, id: str, place: str = "") -> JobDetails | None:
        """Return a job; None if it is not found. place: its row's."""

    async def act(
        self, client: Client, queue: str, action: str, *, state: State | None = None, id: str = "", place: str = ""
    ) -> str:
        """Do something; returns one sentence on what was done. Raises Refused if it can't be done."""


def check(library: Library, action: str, state: State | None, id: str) -> Action:
    """Return the named action. Raises Refused for one that the library does not have, or not for that."""
    scope = Scope.JOB if id else Scope.QUEUE if state is None else Scope.STATE
    for one in library.actions:
        if one.name == action and one.scope is scope and (state is None or state in one.states):
            return one
    what = {Scope.JOB: "jobs", Scope.QUEUE: "a queue", Scope.STATE: f"all {state} jobs"}[scope]
    raise Refused(f"{library.title} has no action {action!r} for {what} here")


def jobs_text(count: int, done: str) -> str:
    """A sentence about some jobs: "3 jobs were deleted."."""
    return f"1 job was {done}." if count == 1 else f"{count} jobs were {done}."


def iso_time(text: object) -> float | None:
    """Seconds since 1970 of an ISO 8601 text, UTC if it names no zone; None for anything else."""
    if isinstance(text, bytes):
        text = text.decode("ascii", "replace")
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def number_in(value: Any) -> float | None:
    """A finite number that may be stored as text; None for anything else."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 1e18 else None
