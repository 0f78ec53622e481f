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
from consumers.console.stream_entries import Group, StreamDetails
from consumers.console.views import link

__all__ = [
    "GROUP_LIMIT", "NAME_LIMIT", "found", "found_group", "group_link", "group_named", "named", "sent", "stream_link",
]  # fmt: skip

NAME_LIMIT, GROUP_LIMIT = 1500, 500
"""Bytes of the longest stream, and group, that has a page: as with keys, an address can't be longer."""


def named(query: Mapping[str, str]) -> bytes:
    """Return the stream that the query names. Raises HTTPException."""
    if "key" not in query:
        raise HTTPException(404, "There is no such stream.")
    return raw(query["key"])


async def found(client: Client, key: bytes) -> StreamDetails:
    """Return what the server knows about a stream. Raises HTTPException, and the server's refusal."""
    details = await stream_entries.details(client, key)
    if details is None:
        raise HTTPException(404, "There is no such stream.")
    return details


def group_named(query: Mapping[str, str]) -> bytes:
    """Return the group that the query names."""
    return raw(query.get("group", ""))


async def found_group(client: Client, key: bytes, name: bytes) -> Group:
    """Return what the server knows about a group. Raises HTTPException, and the server's refusal.

    To be asked before a command that needs the group: servers quote its name in their error reply, and coredis (6.9)
    drops the connection if that is not UTF-8.
    """
    details = await found(client, key)
    for group in details.groups:
        if group.name == name:
            return group
    raise HTTPException(404, "There is no such group.")


def stream_link(key: bytes) -> str:
    """Return the address of a stream's page; that of the list if it has none."""
    return link("/streams/stream", key=key) if len(key) <= NAME_LIMIT else "/streams"


def group_link(key: bytes, group: bytes, after: str | None = None) -> str:
    """Return the address of a group's page; of its stream's if it has none. after: where its pending entries go on."""
    if len(group) > GROUP_LIMIT or len(key) > NAME_LIMIT:
        return stream_link(key)
    return link("/streams/group", key=key, group=group, after=after)


async def sent(request: Request, command: Command) -> Reply:
    """Return the reply to a command for one key. Raises the server's refusal."""
    async with visit_of(request).server.client() as client:
        (reply,) = await ask(client, [command])
    if isinstance(reply, RedisError):
        raise reply
    return reply
