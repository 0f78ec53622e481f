"""The server's users (ACL): their rules, and whom it has turned away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coredis.exceptions import RedisError, ResponseError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumers.connecting import Reply
from consumers.console.access.forms import Form, form_route
from consumers.console.access.guard import visit_of
from consumers.console.labels import label
from consumers.console.views import Page, acted, confirm, link, query_of, render
from consumers.names import decoded, encoded

__all__ = ["PAGE"]

SHOWN = 200
"""Users that are shown."""

DENIALS = 30
"""Denials that are shown: the latest."""

SECRET = (">", "<", "#", "!")
"""How rules begin that contain a password or its hash."""


@dataclass(frozen=True, slots=True)
class User:
    """passwords: how many there are. selectors: each one's rules."""

    name: str
    flags: list[str]
    passwords: int
    commands: str
    keys: str
    channels: str
    selectors: list[str]

    @property
    def on(self) -> bool:
        return "on" in self.flags

    @property
    def open(self) -> bool:
        """Whether anybody can log in with this name."""
        return "nopass" in self.flags and self.on


@dataclass(frozen=True, slots=True)
class Denial:
    """age: seconds."""

    reason: str
    what: str
    context: str
    user: str
    client: str
    count: int
    age: float


async def _show(request: Request) -> Response:
    server = visit_of(request).server
    names = sorted(await server.call(b"ACL", b"USERS"))
    *found, log, acting = await server.execute(
        *((b"ACL", b"GETUSER", name) for name in names[:SHOWN]), (b"ACL", b"LOG", DENIALS), (b"ACL", b"WHOAMI")
    )
    users = [
        _user(name, reply)
        for name, reply in zip(names, found, strict=False)
        if reply is not None and not isinstance(reply, RedisError)
    ]
    return render(
        request, "users.html", users=users, total=len(names),
        denials=[] if isinstance(log, RedisError) else [_denial(entry) for entry in log],
        acting=None if isinstance(acting, RedisError) else _text(acting),
    )  # fmt: skip


def _user(name: bytes, reply: Mapping[bytes, Reply]) -> User:
    return User(
        name=_text(name),
        flags=sorted(_text(flag) for flag in reply[b"flags"]),
        passwords=len(reply[b"passwords"]),
        commands=_rules(reply[b"commands"]),
        keys=_rules(reply[b"keys"]),
        channels=_rules(reply.get(b"channels", b"")),
        selectors=[_selector(one) for one in reply.get(b"selectors", ())],
    )


def _rules(value: Reply) -> str:
    """Return rules as they are written; servers before 7 list them."""
    return " ".join(map(_text, value)) if isinstance(value, list | set) else _text(value)


def _selector(one: Reply) -> str:
    parts: Iterable[Reply] = one.values() if isinstance(one, dict) else one[1::2]
    return " ".join(filter(None, map(_rules, parts)))


def _denial(entry: Mapping[bytes, Reply]) -> Denial:
    client = dict(word.partition("=")[::2] for word in _text(entry.get(b"client-info", b"")).split(" "))
    return Denial(
        reason=_text(entry[b"reason"]), what=label(entry[b"object"]), context=_text(entry[b"context"]),
        user=label(entry[b"username"]), client=client.get("addr", ""), count=int(entry[b"count"]),
        age=float(entry[b"age-seconds"]),
    )  # fmt: skip


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else decoded(value)


async def _one(request: Request) -> Response:
    name = query_of(request).get("name")
    if name is None:
        return render(request, "user.html", account=None, error=None, rules="on +@read ~*")
    user = await _named(request)
    return render(request, "user.html", account=user, error=None, rules="")


async def _named(request: Request) -> User:
    """Return the user that the query names. Raises HTTPException."""
    name = encoded(query_of(request).get("name", ""))
    reply = await visit_of(request).server.call(b"ACL", b"GETUSER", name)
    if reply is None:
        raise HTTPException(404, "There is no such user.")
    return _user(name, reply)


async def _change(request: Request, form: Form) -> Response:
    """Create a user, or change the one that the query names."""
    name = query_of(request).get("name")
    user = None if name is None else await _named(request)
    name = form.get("name", "").strip() if name is None else name
    rules = form.get("rules", "").split()
    if password := form.get("password", ""):
        rules.append(f">{password}")
    back = link("/users/user", name=None if user is None else name)
    shown = " ".join(rule for rule in rules if not rule.startswith(SECRET))
    if not name or not rules:
        return render(
            request, "user.html", 400, account=user, error="Name and rules are needed.", rules=form.get("rules", "")
        )
    asked = confirm(request, form, f"{'Change' if user else 'Create'} the user {label(name)}?", "Yes, do it", back)
    if asked:
        return asked
    try:
        await visit_of(request).server.call(b"ACL", b"SETUSER", *(encoded(word) for word in (name, *rules)))
    except ResponseError as error:
        return render(request, "user.html", 400, account=user, error=str(error), rules=form.get("rules", ""))
    notice = f"The user {label(name)} was {'changed' if user else 'created'}."
    return acted(request, "/users", notice, "change user" if user else "create user", name=name, rules=shown)


async def _delete(request: Request, form: Form) -> Response:
    user = await _named(request)
    question = f"Delete the user {label(user.name)}, and end all of their connections?"
    if asked := confirm(request, form, question, "Delete", "/users"):
        return asked
    await visit_of(request).server.call(b"ACL", b"DELUSER", encoded(user.name))
    return acted(request, "/users", f"The user {label(user.name)} was deleted.", "delete user", name=user.name)


async def _save(request: Request, form: Form) -> Response:
    if asked := confirm(request, form, "Write all users to the server's ACL file?", "Write them", "/users"):
        return asked
    await visit_of(request).server.call(b"ACL", b"SAVE")
    return acted(request, "/users", "The users were written.", "save users")


PAGE = Page(
    "Users", "/users",
    [
        Route("/users", _show),
        Route("/users/user", _one),
        form_route("/users/change", _change),
        form_route("/users/delete", _delete),
        form_route("/users/save", _save),
    ],
)  # fmt: skip
