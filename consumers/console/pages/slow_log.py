"""Commands that took long, and spikes of latency by their cause."""

from __future__ import annotations

from dataclasses import dataclass

from coredis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.connecting import Reply
from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.labels import label
from consumers.console.views import Page, acted, confirm, render

__all__ = ["PAGE"]

SHOWN = 100
"""Slow commands that are shown: the latest."""

COMMAND_LIMIT = 400
"""Characters of a command that are shown."""


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """time: seconds since 1970. microseconds: that it took."""

    id: int
    time: int
    microseconds: int
    command: str
    address: str
    name: str


@dataclass(frozen=True, slots=True)
class Spikes:
    """What LATENCY LATEST knows of one event. time: of the last spike. last, highest: milliseconds."""

    event: str
    time: int
    last: int
    highest: int


async def _show(request: Request) -> Response:
    server = visit_of(request).server
    log, length, settings, latest = await server.execute(
        (b"SLOWLOG", b"GET", SHOWN), (b"SLOWLOG", b"LEN"),
        (b"CONFIG", b"GET", b"slowlog-*"), (b"LATENCY", b"LATEST"),
    )  # fmt: skip
    if isinstance(log, RedisError):
        raise log
    known = settings if isinstance(settings, dict) else {}
    return render(
        request, "slow_log.html",
        commands=[_command(entry) for entry in log], length=length if isinstance(length, int) else len(log),
        threshold=_text(known.get(b"slowlog-log-slower-than")), kept=_text(known.get(b"slowlog-max-len")),
        spikes=[] if isinstance(latest, RedisError) else [_spikes(entry) for entry in latest],
    )  # fmt: skip


def _command(entry: Reply) -> SlowCommand:
    number, time, microseconds, arguments, *client = entry
    address, name = (*client[:2], b"", b"")[:2]
    return SlowCommand(
        id=number, time=time, microseconds=microseconds,
        command=label(b" ".join(arguments), COMMAND_LIMIT), address=label(address), name=label(name),
    )  # fmt: skip


def _spikes(entry: Reply) -> Spikes:
    event, time, last, highest = entry[:4]
    return Spikes(label(event), time, last, highest)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


async def _clear(request: Request, form: Form) -> Response:
    if asked := confirm(request, form, "Clear the slow log?", "Clear it", "/slow-log"):
        return asked
    await visit_of(request).server.call(b"SLOWLOG", b"RESET")
    return acted(request, "/slow-log", "The slow log was cleared.", "clear slow log")


async def _clear_latency(request: Request, form: Form) -> Response:
    if asked := confirm(request, form, "Forget all spikes of latency?", "Forget them", "/slow-log"):
        return asked
    await visit_of(request).server.call(b"LATENCY", b"RESET")
    return acted(request, "/slow-log", "The spikes of latency were forgotten.", "reset latency")


PAGE = Page(
    "Slow log", "/slow-log",
    [
        Route("/slow-log", _show),
        form_route("/slow-log/clear", _clear),
        form_route("/slow-log/clear-latency", _clear_latency),
    ],
)  # fmt: skip
