"""URLs of servers: which are understood, and one clear refusal of the others.

coredis takes any scheme that it does not know for redis://, and what follows for a host: a cluster would be one server,
and a URL of HTTP would be waited for.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import coredis

__all__ = ["client_from_url"]

SCHEMES = ("redis", "rediss", "unix")


def client_from_url(url: str) -> coredis.Redis[bytes]:
    """A client of the server at this URL, to be entered. Raises ValueError for any other URL, in one line."""
    shown = _without_password(url)
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or not scheme:
        raise ValueError(f"{shown}: not a URL of a server, as redis://host:port is")
    if scheme not in SCHEMES:
        known = ", ".join(f"{one}://" for one in SCHEMES)
        raise ValueError(f"{shown}: {scheme}:// is not supported, only {known}{_instead(scheme)}")
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        complete = parts.path if scheme == "unix" else parts.hostname and (parts.port or 6379)
        database = "" if scheme == "unix" else parts.path.strip("/")
        if not complete or "," in (parts.hostname or ""):
            raise ValueError("not a URL of one server")
        if database and not (database.isascii() and database.isdecimal()):
            raise ValueError(f"{database!r} is no database's number")
        client: coredis.Redis[Any] = coredis.Redis.from_url(f"{scheme}://{rest}", decode_components=True)
    except (ValueError, OSError, RuntimeError) as error:
        raise ValueError(f"{shown}: {error}") from None
    return client


def _instead(scheme: str) -> str:
    """What to do for servers that are reached otherwise."""
    if "cluster" in scheme:
        return "; open the queue with a coredis.RedisCluster client"
    if "sentinel" in scheme:
        return "; open the queue with a client of coredis.sentinel.Sentinel"
    return ""


def _without_password(url: str) -> str:
    before, at, after = url.rpartition("@")
    scheme, separator, _ = before.partition("://")
    return f"{scheme}{separator}***@{after}" if at else url
