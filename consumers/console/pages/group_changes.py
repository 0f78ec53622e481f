"""Consumer groups: created, moved to another entry and deleted; their consumers, deleted."""

from __future__ import annotations

from coredis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.connecting import Command
from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.entered import TEXT, Unreadable, entered, raw
from consumers.console.labels import label
from consumers.console.pages import groups
from consumers.console.pages.addressed import found_group, group_link, group_named, named, sent, stream_link
from consumers.console.refusals import NOTHING_REFUSED, Refusal
from consumers.console.views import acted, confirm, count, link, query_of, render
from consumers.names import decoded

__all__ = ["ROUTES"]

COUNTED = 1000
"""Pending entries of a consumer that are counted before it is deleted."""


async def _new(request: Request) -> Response:
    return _show_new(request, NOTHING_REFUSED)


def _show_new(request: Request, refusal: Refusal) -> Response:
    query = query_of(request)
    key = raw(query["key"]) if "key" in query else None
    return render(
        request,
        "new_group.html",
        refusal.status,
        key=key,
        refusal=refusal,
        create=link("/streams/create-group", key=key),
    )


async def _create(request: Request, form: Form) -> Response:
    query, notation, start = query_of(request), form.get("notation", TEXT), form.get("start", "").strip()
    try:
        key = raw(query["key"]) if "key" in query else entered(form.get("stream", ""), notation)
        name = entered(form.get("group", ""), notation)
        if not key or not name:
            raise Unreadable("A name is needed.")
        create: Command = (b"XGROUP", b"CREATE", key, name, raw(start))
        question, back = (
            f"Create the group {label(name)} of {label(key)}?",
            link("/streams/new-group", key=query.get("key")),
        )
        if asked := confirm(request, form, question, "Create it", back):
            return asked
        await sent(request, create if "key" in query else (*create, b"MKSTREAM"))
    except (Unreadable, RedisError) as error:
        return _show_new(request, Refusal.of("create-group", error, form))
    notice = f"The group {label(name)} was created."
    return acted(
        request, group_link(key, name), notice, "create group", stream=decoded(key), group=decoded(name), start=start
    )


async def _move(request: Request, form: Form) -> Response:
    query, id = query_of(request), form.get("id", "").strip()
    key, name = named(query), group_named(query)
    async with visit_of(request).server.client() as client:
        await found_group(client, key, name)
    question = f"Have the group {label(name)} go on after {label(id)}?"
    warning = (
        "What comes after it is delivered, even if it was delivered before; what comes before it and was not, is "
        "skipped. Pending entries stay pending."
    )
    if asked := confirm(request, form, question, "Set it", group_link(key, name), warning):
        return asked
    try:
        await sent(request, (b"XGROUP", b"SETID", key, name, raw(id)))
    except RedisError as error:
        return await groups.show(request, Refusal.of("move-group", error, form))
    return acted(
        request, group_link(key, name), "The last-delivered ID was set.", "set last-delivered ID", stream=decoded(key),
        group=decoded(name), id=id,
    )  # fmt: skip


async def _delete(request: Request, form: Form) -> Response:
    query = query_of(request)
    key, name = named(query), group_named(query)
    async with visit_of(request).server.client() as client:
        group = await found_group(client, key, name)
    warning = "Its position in the stream is lost, and consumers that wait get an error."
    if group.pending:
        warning = f"Nobody gets its {count(group.pending)} pending entries any more. {warning}"
    question = f"Delete the group {label(name)} of {label(key)}?"
    if asked := confirm(request, form, question, "Delete it", group_link(key, name), warning):
        return asked
    try:
        deleted = await sent(request, (b"XGROUP", b"DESTROY", key, name))
    except RedisError as error:
        return await groups.show(request, Refusal.of("delete-group", error, form))
    notice = f"The group {label(name)} was deleted." if deleted else "There was no such group any more."
    return acted(
        request, stream_link(key), notice, "delete group", stream=decoded(key), group=decoded(name), deleted=deleted
    )


async def _delete_consumer(request: Request, form: Form) -> Response:
    query = query_of(request)
    key, name, consumer = named(query), group_named(query), raw(query.get("consumer", ""))
    async with visit_of(request).server.client() as client:
        await found_group(client, key, name)
    try:
        pending = len(await sent(request, (b"XPENDING", key, name, b"-", b"+", COUNTED, consumer)))
        warning = ""
        if pending:
            entries = (
                "an entry" if pending == 1 else f"{count(pending)}{'' if pending < COUNTED else ' or more'} entries"
            )
            warning = f"It has {entries} pending, which nobody gets any more: have another consumer claim them before."
        question = f"Delete the consumer {label(consumer)} of the group {label(name)}?"
        if asked := confirm(request, form, question, "Delete it", group_link(key, name), warning):
            return asked
        forgotten = await sent(request, (b"XGROUP", b"DELCONSUMER", key, name, consumer))
    except RedisError as error:
        return await groups.show(request, Refusal.of("delete-consumer", error, form))
    return acted(
        request, group_link(key, name), f"The consumer {label(consumer)} was deleted.", "delete consumer",
        stream=decoded(key), group=decoded(name), consumer=decoded(consumer), pending=forgotten,
    )  # fmt: skip


ROUTES = [
    Route("/streams/new-group", _new),
    form_route("/streams/create-group", _create),
    form_route("/streams/move-group", _move),
    form_route("/streams/delete-group", _delete),
    form_route("/streams/delete-consumer", _delete_consumer),
]
