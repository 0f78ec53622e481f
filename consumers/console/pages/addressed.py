"""The stream that the address of a page names, and commands to it."""

from __future__ import annotations

from collections.abc import Mapping

from coredis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from consumers.connecting import Client, Command, Reply
from consumers.console import stream_entries
from consumers.console.access.guard import visit_of
from consumers.console.asking import ask
from consumers.console.entered import raw
from consumers.console.stream_entries import StreamDetails

__all__ = ["GROUP_LIMIT", "NAME_LIMIT", "found", "logged", "named", "sent"]

NAME_LIMIT, GROUP_LIMIT = 1500, 500
"""Bytes of the longest stream, and group, that has a page: as with keys, an address can't be longer."""


def named(query: Mapping[str, str]) -> bytes:
    """Return the stream that the query names. Raises HTTPException."""
    if "key" not in query:
        raise HTTPException(404, "There is no such stream.")
    return raw(query["key"])


async def found(client: Client, key: bytes) -> StreamDetails:
    details = await stream_entries.details(client, key)
    if details is None:
        raise HTTPException(404, "There is no such stream.")
    return details


async def sent(request: Request, command: Command) -> Reply:
    """Return the reply to a command for one key. Raises the server's refusal."""
    async with visit_of(request).server.client() as client:
        (reply,) = await ask(client, [command])
    if isinstance(reply, RedisError):
        raise reply
    return reply


def logged(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
