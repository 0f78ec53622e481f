"""Keys: found by their names' beginning or by pattern, looked at, and changed.

Names of any bytes are in addresses as they are, percent-encoded. A browser sends the address of the page before, too,
and a server limits both; so what has a longer name than these limits is shown, but has no page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.console import key_editing
from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.asking import ask
from consumers.console.entered import TEXT, Offer, Unreadable, entered, offer, raw
from consumers.console.key_editing import ABSENT, EDITABLE, FIRST, LAST, Stale, digest, element, put
from consumers.console.keys import LENGTHS, Element, StoredKey, bytes_of, elements, escaped, find, stored_key
from consumers.console.labels import label
from consumers.console.values import View, view
from consumers.console.views import Page, acted, confirm, link, query_of, render
from consumers.names import decoded

__all__ = ["KEY_LIMIT", "PAGE"]

SHOWN = 100
"""Keys, and elements of one, on a page."""

CELL = 500
"""Characters of an element in a table."""

KEY_LIMIT = 1500
"""Bytes of the longest key that has a page."""

ELEMENT_LIMIT = 500
"""Bytes of the longest field or member that has a page."""

HOW = {"prefix": "begins with", "part": "contains", "pattern": "matches"}

MOST_SECONDS = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Cell:
    """An element as it is shown. address: of its page, if it has one."""

    element: Element
    name: View | None
    value: View | None
    score: str | None
    address: str | None


# The list.


async def _show(request: Request) -> Response:
    query = query_of(request)
    search, how, type = query.get("search", ""), query.get("how", "prefix"), query.get("type", "")
    if how not in HOW:
        raise HTTPException(400, "Keys can't be searched like that.")
    async with visit_of(request).server.client() as client:
        try:
            rows, after = await find(client, _pattern(raw(search), how), type, query.get("after"), SHOWN)
        except ValueError:
            raise HTTPException(400, "There is no such page of keys.") from None
    return render(
        request, "keys.html", rows=rows, search=search, how=how, hows=HOW, type=type, types=LENGTHS, limit=KEY_LIMIT,
        paged="after" in query, first=link("/keys", search=search, how=how, type=type),
        following=None if after is None else link("/keys", search=search, how=how, type=type, after=after),
    )  # fmt: skip


def _pattern(search: bytes, how: str) -> bytes:
    if how == "pattern":
        return search or b"*"
    return (b"*" if how == "part" else b"") + escaped(search) + b"*"


# One key.


async def _key(request: Request) -> Response:
    query = query_of(request)
    name, after = _named(query), query.get("after")
    async with visit_of(request).server.client() as client:
        key = await _stored(client, name)
        value, cells, position = None, [], None
        try:
            if key.type == "string":
                offset = None if after is None else int(after[:15])
                data, following = await bytes_of(client, key, None if offset is None else max(0, offset))
                value, position = view(data), None if following is None else str(following)
            elif key.type in EDITABLE:
                found, position = await elements(client, key, after, SHOWN)
                cells = [_cell(key, one) for one in found]
        except ValueError:
            raise HTTPException(400, "There is no such page of this key.") from None
    own = link("/keys/key", key=name)
    return render(
        request, "key.html", key=key, value=value, cells=cells, editable=key.type in EDITABLE, paged="after" in query,
        first=own, following=None if position is None else link("/keys/key", key=name, after=position),
        form=lambda action: link(f"/keys/{action}", key=name), ends=(FIRST, LAST),
    )  # fmt: skip


def _named(query: Mapping[str, str]) -> bytes:
    """Return the key that the query names. Raises HTTPException."""
    if "key" not in query:
        raise HTTPException(404, "There is no such key.")
    return raw(query["key"])


async def _stored(client: Any, name: bytes) -> StoredKey:
    key = await stored_key(client, name)
    if key is None:
        raise HTTPException(404, "There is no such key, or it has expired.")
    return key


def _cell(key: StoredKey, one: Element) -> Cell:
    linked = len(one.name) <= ELEMENT_LIMIT and len(key.name) <= KEY_LIMIT
    return Cell(
        element=one,
        name=None if key.type == "list" else view(one.name, CELL),
        value=None if one.value is None else view(one.value, CELL),
        score=None if one.score is None else _number(one.score),
        address=link("/keys/element", key=key.name, type=key.type, name=one.name) if linked else None,
    )


def _number(score: float) -> str:
    return str(int(score)) if score.is_integer() and abs(score) < 1e17 else repr(score)


# One element.


async def _element(request: Request) -> Response:
    """Show an element and the form that changes it; without a name, the form for a new one; or a string's form."""
    query = query_of(request)
    key, type = _named(query), query.get("type", "")
    if type not in EDITABLE:
        raise HTTPException(404, "There is no such element.")
    name = raw(query["name"]) if "name" in query else None
    found: Any = None
    pushed = type == "list" and name in (FIRST, LAST)
    if (name is not None or type == "string") and not pushed:
        async with visit_of(request).server.client() as client:
            try:
                found = await element(client, key, type, name or b"")
            except Stale as error:
                raise HTTPException(404, str(error)) from None
        if found is None:
            raise HTTPException(404, "There is no such element any more.")
    filled = Offer("", TEXT) if found is None else offer(found) if isinstance(found, bytes) else Offer("", TEXT)
    return render(
        request, "element.html", key=key, type=type, name=name, new=found is None, offer=filled, pushed=pushed,
        title=_title(type, name), value=view(found) if isinstance(found, bytes) else None,
        score=_number(found) if isinstance(found, float) else "", back=link("/keys/key", key=key),
        put=link("/keys/put", key=key, type=type, name=name, seen=digest(found)),
        remove=None if found is None or type == "string"
        else link("/keys/remove", key=key, type=type, name=name, seen=digest(found)),
    )  # fmt: skip


def _title(type: str, name: bytes | None) -> str:
    if type == "string":
        return "Value"
    if type == "list" and name in (FIRST, LAST):
        return f"New {name.decode()} element"
    if name is None:
        return {"hash": "New field", "list": "New element"}.get(type, "New member")
    return f"{'Element' if type == 'list' else 'Field' if type == 'hash' else 'Member'} {label(name)}"


async def _put(request: Request, form: Form) -> Response:
    query = query_of(request)
    key, type = _named(query), query.get("type", "")
    name, value = _typed(query, form, type)
    back = link("/keys/key", key=key)
    what = f"the {type} {label(key)}" if type == "string" else f"{label(name)} in the {type} {label(key)}"
    if type == "list" and name in (FIRST, LAST):
        what = f"a {name.decode()} element in the list {label(key)}"
    if asked := confirm(request, form, f"Set {what}?", "Set it", back):
        return asked
    async with visit_of(request).server.client() as client:
        try:
            await put(client, key, type, name, value, query.get("seen", ABSENT))
        except Stale as error:
            raise HTTPException(409, str(error)) from None
    return acted(
        request, back, "It was set.", "set element", key=decoded(key), type=type, element=decoded(name) or None
    )


def _typed(query: Mapping[str, str], form: Form, type: str) -> tuple[bytes, bytes]:
    """Return an element's name and value, or score, as query and form say. Raises HTTPException."""
    if type not in EDITABLE:
        raise HTTPException(404, "There is no such type of key here.")
    notation = form.get("notation", TEXT)
    try:
        value = entered(form.get("value", ""), notation)
        if type == "string":
            name = b""
        elif "name" in query:
            name = raw(query["name"])
        else:
            name = LAST if type == "list" else entered(form.get("name", ""), notation)
    except Unreadable as error:
        raise HTTPException(400, str(error)) from None
    return name, raw(form.get("score", "").strip()) if type == "zset" else value


async def _remove(request: Request, form: Form) -> Response:
    query = query_of(request)
    key, type, name = _named(query), query.get("type", ""), raw(query.get("name", ""))
    back = link("/keys/key", key=key)
    if asked := confirm(request, form, f"Remove {label(name)} from the {type} {label(key)}?", "Remove it", back):
        return asked
    async with visit_of(request).server.client() as client:
        try:
            await key_editing.remove(client, key, type, name, query.get("seen", ABSENT))
        except Stale as error:
            raise HTTPException(409, str(error)) from None
        left = await stored_key(client, key)
    return acted(
        request, "/keys" if left is None else back, "It was removed.", "remove element", key=decoded(key), type=type,
        element=decoded(name),
    )  # fmt: skip


# The key as a whole.


async def _expire(request: Request, form: Form) -> Response:
    key, text = _named(query_of(request)), form.get("seconds", "").strip()
    back = link("/keys/key", key=key)
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = 0.0
    if seconds is not None and not 0.001 <= seconds <= MOST_SECONDS:
        raise HTTPException(400, "This is no number of seconds for which a key may live on.")
    question = f"Keep {label(key)} for good?" if seconds is None else f"Delete {label(key)} in {seconds:g} seconds?"
    if asked := confirm(request, form, question, "Yes", back):
        return asked
    changed = await visit_of(request).server.call(
        *((b"PERSIST", key) if seconds is None else (b"PEXPIRE", key, int(seconds * 1000)))
    )
    notice = "Its time to live was set." if changed else "Nothing was to be changed."
    return acted(request, back, notice, "set time to live", key=decoded(key), seconds=text or "none", changed=changed)


async def _rename(request: Request, form: Form) -> Response:
    key = _named(query_of(request))
    back = link("/keys/key", key=key)
    try:
        name = entered(form.get("name", ""), form.get("notation", TEXT))
    except Unreadable as error:
        raise HTTPException(400, str(error)) from None
    if asked := confirm(request, form, f"Rename {label(key)} to {label(name)}?", "Rename it", back):
        return asked
    async with visit_of(request).server.client() as client:
        (renamed,) = await ask(client, [(b"RENAMENX", key, name)])
    if isinstance(renamed, Exception):
        raise renamed
    if not renamed:
        raise HTTPException(409, "There is such a key already.")
    return acted(
        request, link("/keys/key", key=name), "The key was renamed.", "rename key", key=decoded(key), name=decoded(name)
    )


async def _delete(request: Request, form: Form) -> Response:
    key = _named(query_of(request))
    if asked := confirm(request, form, f"Delete {label(key)}?", "Delete it", link("/keys/key", key=key)):
        return asked
    async with visit_of(request).server.client() as client:
        (deleted,) = await ask(client, [(b"UNLINK", key)])
    if isinstance(deleted, Exception):
        raise deleted
    notice = f"{label(key)} was deleted." if deleted else "There was no such key any more."
    return acted(request, "/keys", notice, "delete key", key=decoded(key), deleted=deleted)


async def _new(request: Request) -> Response:
    return render(request, "new_key.html", types=EDITABLE)


async def _create(request: Request, form: Form) -> Response:
    type = form.get("type", "")
    name, value = _typed({}, form, type)
    try:
        key = entered(form.get("key", ""), form.get("notation", TEXT))
    except Unreadable as error:
        raise HTTPException(400, str(error)) from None
    if asked := confirm(request, form, f"Create the {type} {label(key)}?", "Create it", "/keys/new"):
        return asked
    async with visit_of(request).server.client() as client:
        try:
            await put(client, key, type, name, value, ABSENT, new=True)
        except Stale as error:
            raise HTTPException(409, str(error)) from None
    after = link("/keys/key", key=key) if len(key) <= KEY_LIMIT else "/keys"
    return acted(request, after, "The key was created.", "create key", key=decoded(key), type=type)


PAGE = Page(
    "Keys", "/keys",
    [
        Route("/keys", _show),
        Route("/keys/key", _key),
        Route("/keys/element", _element),
        Route("/keys/new", _new),
        form_route("/keys/put", _put),
        form_route("/keys/remove", _remove),
        form_route("/keys/expire", _expire),
        form_route("/keys/rename", _rename),
        form_route("/keys/delete", _delete),
        form_route("/keys/create", _create),
    ],
)  # fmt: skip
