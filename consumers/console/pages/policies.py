"""The policies of streams and groups, changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from coredis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from consumers.connecting import Command
from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.entered import Unreadable
from consumers.console.labels import label
from consumers.console.pages import groups, stream
from consumers.console.pages.addressed import found_group, group_link, group_named, named, sent, stream_link
from consumers.console.refusals import Refusal
from consumers.console.stream_policies import GROUP, STREAM, Change, Option, changes, group_command, stream_command
from consumers.console.views import acted, confirm, query_of
from consumers.names import decoded

__all__ = ["ROUTES"]

FORM = "policy"

REMOVES = "What the stream may not hold any more is removed at once."


@dataclass(frozen=True, slots=True)
class _Target:
    """Whose policy it is. command: makes the command that changes it. show: returns its page with a refusal."""

    name: str
    options: Sequence[Option]
    command: Callable[[Sequence[Change]], Command]
    back: str
    show: Callable[[Request, Refusal], Awaitable[Response]]
    warning: str = ""


async def _change(request: Request, form: Form, target: _Target, **logged_as: str) -> Response:
    try:
        changed = changes(target.options, form)
        if not changed:
            return await target.show(request, Refusal(FORM, "Nothing was changed.", form))
        told = [f"{one.option.title}: {label(one.text) or 'none'}." for one in changed]
        question, warning = f"Change the policy of {target.name}?", " ".join([*told, target.warning]).strip()
        if asked := confirm(request, form, question, "Change it", target.back, warning):
            return asked
        await sent(request, target.command(changed))
    except (Unreadable, RedisError) as error:
        return await target.show(request, Refusal.of(FORM, error, form))
    words = " ".join(f"{one.option.word.decode()}={one.text}" for one in changed)
    return acted(request, target.back, "The policy was changed.", "change policy", **logged_as, policy=words)


async def _change_group(request: Request, form: Form) -> Response:
    query = query_of(request)
    key, name = named(query), group_named(query)
    async with visit_of(request).server.client() as client:
        await found_group(client, key, name)
    target = _Target(
        f"the group {label(name)} of {label(key)}", GROUP, lambda changed: group_command(key, name, changed),
        group_link(key, name), groups.show,
    )  # fmt: skip
    return await _change(request, form, target, stream=decoded(key), group=decoded(name))


async def _change_stream(request: Request, form: Form) -> Response:
    key = named(query_of(request))
    target = _Target(
        label(key), STREAM, lambda changed: stream_command(key, changed), stream_link(key), stream.show, REMOVES
    )
    return await _change(request, form, target, stream=decoded(key))


ROUTES = [
    form_route("/streams/group-policy", _change_group),
    form_route("/streams/policy", _change_stream),
]
