"""Server URLs: which are supported, and one clear refusal of all others.

coredis treats any unknown scheme as redis://, and what follows as a host: a cluster would become a single server, and
a consumer would wait for an HTTP server.
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import coredis

from consumers.encryption import context_from_query

__all__ = ["client_from_url"]

SCHEMES = ("redis", "rediss", "unix")


def client_from_url(url: str, context: ssl.SSLContext | None = None) -> coredis.Redis[bytes]:
    """Return a client, not yet entered, of the server at this URL. Raises ValueError, in one line, for any other.

    `context` is for rediss://, in place of what the URL itself says about certificates.
    """
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
        settings: dict[str, Any] = {}
        if scheme == "rediss":
            settings["ssl_context"] = context or context_from_query(dict(parse_qsl(parts.query)))
        client: coredis.Redis[Any] = coredis.Redis.from_url(f"{scheme}://{rest}", decode_components=True, **settings)
    except (ValueError, OSError, RuntimeError) as error:
        raise ValueError(f"{shown}: {error}") from None
    return client


def _instead(scheme: str) -> str:
    """What to use instead, for servers that are not reached by a URL."""
    if "cluster" in scheme:
        return "; open the queue with a coredis.RedisCluster client"
    if "sentinel" in scheme:
        return "; open the queue with a client of coredis.sentinel.Sentinel"
    return ""


def _without_password(url: str) -> str:
    before, at, after = url.rpartition("@")
    scheme, separator, _ = before.partition("://")
    return f"{scheme}{separator}***@{after}" if at else url
