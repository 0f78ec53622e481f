"""Celery's messages and results as they are stored: JSON, with a body in Base64 that is JSON or a pickle."""

from __future__ import annotations

import base64
import json
from typing import Any

from consumers.console.queues.library import JobDetails, JobRow, State, iso_time, number_in
from consumers.console.values import View, call, decoded, shown, view
from consumers.names import encoded

__all__ = ["due_of", "id_of", "message_details", "message_row", "read_message", "result_row"]

STATES = {"SUCCESS": State.DONE, "FAILURE": State.DEAD, "REVOKED": State.DEAD, "REJECTED": State.DEAD}


def read_message(data: bytes) -> dict[str, Any]:
    """The message; empty for what is none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _headers(message: dict[str, Any]) -> dict[str, Any]:
    found = message.get("headers")
    return found if isinstance(found, dict) else {}


def id_of(message: dict[str, Any]) -> str:
    """The task's ID, or, of a message that is no task, that of the delivery."""
    found = _headers(message).get("id")
    if not isinstance(found, str):
        properties = message.get("properties")
        found = properties.get("delivery_tag") if isinstance(properties, dict) else None
    return found if isinstance(found, str) else "?"


def due_of(message: dict[str, Any]) -> float | None:
    """The task's ETA."""
    return iso_time(_headers(message).get("eta"))


def message_row(message: dict[str, Any], state: State, place: str) -> JobRow:
    headers = _headers(message)
    task, retries = headers.get("task"), number_in(headers.get("retries"))
    return JobRow(
        id=id_of(message),
        state=state,
        function=task if isinstance(task, str) else None,
        due=due_of(message),
        attempts=None if retries is None else int(retries),
        summary=_summary(headers, task) if isinstance(task, str) else "a message",
        place=place,
    )


def _summary(headers: dict[str, Any], task: str) -> str:
    """The call, of the arguments' texts that Celery adds to a message."""
    parts = []
    for name, ends in (("argsrepr", ("(", "[")), ("kwargsrepr", ("{",))):
        told = headers.get(name)
        if isinstance(told, str) and len(told) > 2:
            parts.append(told[1:-1].rstrip(",") if told.startswith(ends) else told)
    return f"{task}({', '.join(parts)[:300]})"


def message_details(
    message: dict[str, Any], state: State, place: str, result: bytes, row: JobRow | None = None
) -> JobDetails:
    """All that is known of a task: its message and its result, either of which may be empty."""
    meta = read_message(result) if result else {}
    error = meta.get("traceback")
    headers = {name: value for name, value in _headers(message).items() if value not in (None, [], {}, "")}
    arguments = _arguments(message)
    if arguments is None and meta.get("args") is not None:
        arguments = shown({"args": meta.get("args"), "kwargs": meta.get("kwargs")}, "json")
    raw = [(name, shown(value)) for name, value in headers.items()]
    raw += [(name, shown(meta[name])) for name in ("status", "date_done", "worker", "queue") if meta.get(name)]
    return JobDetails(
        row=row or message_row(message, state, place),
        arguments=arguments,
        result=shown(meta.get("result"), "json") if "result" in meta else None,
        error=error if isinstance(error, str) else None,
        raw=tuple(raw),
    )


def _arguments(message: dict[str, Any]) -> View | None:
    """The arguments in the body: an array of positional ones, named ones, and what comes after the task."""
    body, properties = message.get("body"), message.get("properties")
    if not isinstance(body, str):
        return None
    data = encoded(body)
    if isinstance(properties, dict) and properties.get("body_encoding") == "base64":
        try:
            data = base64.b64decode(data, validate=True)
        except ValueError:
            return view(data)
    kind, value = decoded(data)
    if isinstance(value, list | tuple) and len(value) == 3:
        positional, named, rest = value
        told: dict[str, Any] = {"args": positional, "kwargs": named}
        if isinstance(rest, dict) and any(rest.values()):
            told["then"] = {name: one for name, one in rest.items() if one}
        return shown(told, kind)
    return view(data)


def result_row(id: str, data: bytes) -> tuple[JobRow, str | None]:
    """An ended task by its stored result, and the queue if that is known."""
    meta = read_message(data)
    state = STATES.get(str(meta.get("status")), State.RUNNING)
    name, queue, retries = meta.get("name"), meta.get("queue"), number_in(meta.get("retries"))
    summary = call(name, meta.get("args"), meta.get("kwargs")) if isinstance(name, str) else str(meta.get("status"))
    result = meta.get("result")
    if state is State.DEAD and isinstance(result, dict):
        summary = f"{summary}: {result.get('exc_type')}: {shown(result.get('exc_message'), limit=200).text}"
    return JobRow(
        id=id,
        state=state,
        function=name if isinstance(name, str) else None,
        attempts=None if retries is None else int(retries),
        summary=summary,
    ), queue if isinstance(queue, str) else None
