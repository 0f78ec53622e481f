"""taskiq's messages, schedules and results, as they are stored: dicts in JSON, msgpack or a pickle, by default."""

from __future__ import annotations

import json
from typing import Any

from consumers.console.queues.library import JobDetails, JobRow, State, iso_time, number_in
from consumers.console.values import View, call, decoded, shown, view

__all__ = [
    "is_failure", "is_message", "is_schedule", "message_details", "message_id", "message_row", "outcome_of",
    "read_dict", "refreshed",
]  # fmt: skip

CAUSES = 10
"""Exceptions that caused one another, as far as they are shown."""


def read_dict(data: bytes | None) -> dict[str, Any]:
    """What is stored; empty for what can't be read, or is no dict."""
    if not data:
        return {}
    _, value = decoded(data)
    return value if isinstance(value, dict) else {}


def is_message(fields: dict[str, Any]) -> bool:
    """Whether this is a task that was sent."""
    return _calls(fields) and isinstance(fields.get("task_id"), str)


def is_schedule(fields: dict[str, Any]) -> bool:
    """Whether this is what a schedule source has stored."""
    return _calls(fields) and isinstance(fields.get("schedule_id"), str)


def _calls(fields: dict[str, Any]) -> bool:
    kinds = {"task_name": str, "labels": dict, "args": list, "kwargs": dict}
    return all(isinstance(fields.get(name), kind) for name, kind in kinds.items())


def message_id(fields: dict[str, Any], place: str) -> str:
    """The task's ID; for what can't be read, its place."""
    id = fields.get("task_id") or fields.get("schedule_id")
    return id if isinstance(id, str) else f"at {place}"


def message_row(data: bytes | None, state: State, place: str, sent: float | None = None) -> JobRow:
    """sent: when, in seconds since 1970: messages don't say so. A schedule is known by its own ID, and has a time."""
    fields = read_dict(data)
    name, labels = fields.get("task_name"), fields.get("labels")
    retries = number_in(labels.get("_retries", 0)) if isinstance(labels, dict) else None
    begun = state in (State.RUNNING, State.DEAD, State.DONE)
    summary = view(data, 100).text if data else "a task"
    return JobRow(
        id=message_id(fields, place),
        state=state,
        function=name if isinstance(name, str) else None,
        enqueued=sent,
        due=iso_time(fields.get("time")) if state is State.DELAYED else None,
        attempts=None if retries is None else int(retries) + begun,
        summary=call(_short(name), fields.get("args"), fields.get("kwargs")) if isinstance(name, str) else summary,
        place=place,
    )


def _short(name: str) -> str:
    """The function's name without its module."""
    return name.rpartition(":")[2] or name


def message_details(data: bytes, row: JobRow, result: bytes | None) -> JobDetails:
    """result: as it is stored under the task's ID."""
    kind, _ = decoded(data)
    fields = read_dict(data)
    rest = {
        name: value
        for name, value in fields.items()
        if name not in ("task_id", "task_name", "args", "kwargs", "labels_types") and value
    }
    returned, error = outcome_of(result)
    return JobDetails(
        row=row,
        arguments=shown({"args": fields.get("args"), "kwargs": fields.get("kwargs")}, kind) if fields else view(data),
        result=returned,
        error=error,
        raw=tuple((name, shown(value)) for name, value in rest.items()),
    )


def _is_result(fields: dict[str, Any]) -> bool:
    return isinstance(fields.get("is_err"), bool) and "return_value" in fields and "execution_time" in fields


def is_failure(result: bytes | None) -> bool:
    """Whether a stored result is that of a task that has failed."""
    fields = read_dict(result)
    return _is_result(fields) and fields["is_err"] is True


def outcome_of(result: bytes | None) -> tuple[View | None, str | None]:
    """What a stored result returns, or its error; neither if this is no result."""
    fields = read_dict(result)
    if not _is_result(fields):
        return None, None
    if fields["is_err"]:
        return None, _error(fields.get("error"))
    kind, _ = decoded(result or b"")
    return shown(fields.get("return_value"), kind), None


def _error(error: object) -> str:
    """An exception and those that caused it: taskiq keeps no traceback."""
    lines: list[str] = []
    while isinstance(error, dict) and len(lines) < CAUSES:
        module, name, arguments = error.get("exc_module"), error.get("exc_type"), error.get("exc_message")
        text = call(f"{module}.{name}" if isinstance(module, str) else str(name), arguments, None, 1000)
        lines.append(f"caused by {text}" if lines else text)
        error = error.get("exc_cause") or error.get("exc_context")
    return "\n".join(lines) or shown(error, limit=1000).text


def refreshed(data: bytes) -> bytes:
    """A message as one that was not tried yet. One that is not JSON stays as it is: it has fewer retries left."""
    try:
        fields = json.loads(data)
        for name in ("labels", "labels_types"):
            if isinstance(fields.get(name), dict):
                fields[name].pop("_retries", None)
    except (ValueError, AttributeError, RecursionError):
        return data
    return json.dumps(fields).encode()
