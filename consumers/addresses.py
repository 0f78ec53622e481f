"""Server URLs: which are supported, and one clear refusal of all others.

One server is redis://, rediss:// (TLS) or unix://. The primary that Sentinels watch is
redis+sentinel://HOST:PORT,HOST:PORT/NAME/DATABASE, a cluster is redis+cluster://HOST:PORT,HOST:PORT; with rediss+, the
servers are encrypted, and so are the Sentinels. coredis knows the first three only. It treats any other scheme as
redis://, and what follows as a host: a cluster would become a single server, and a consumer would wait for an HTTP
server.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

import coredis
from coredis import Sentinel
from coredis.connection import TCPLocation
from coredis.exceptions import RedisClusterError

from consumers.connecting import Client
from consumers.encryption import context_from_query
from consumers.errors import ServerUnavailable

__all__ = ["DEFAULT_URL", "PORT", "SCHEMES", "client_from_url", "default_url", "with_credentials", "without_password"]

SCHEMES = (
    "redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster",
)  # fmt: skip
DEFAULT_URL = "redis://127.0.0.1:6379"
PORT = 6379
SENTINEL_PORT = 26379


def default_url() -> str:
    """Return the URL of the environment's variable REDIS_URL, or DEFAULT_URL."""
    return os.environ.get("REDIS_URL") or DEFAULT_URL


def client_from_url(url: str, context: ssl.SSLContext | None = None) -> Client:
    """Return a client, not yet entered, of the server at this URL. Raises ValueError, in one line, for any other.

    `context` is for rediss:// and its kind, in place of what the URL itself says about certificates.
    """
    shown = without_password(url)
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or not scheme:
        raise ValueError(f"{shown}: not a URL of a server, as redis://host:port is")
    if scheme not in SCHEMES:
        known = ", ".join(f"{one}://" for one in SCHEMES)
        raise ValueError(f"{shown}: {scheme}:// is not supported, only {known}")
    transport, _, kind = scheme.partition("+")
    try:
        parts = urlsplit(f"{transport}://{rest}")
        settings: dict[str, Any] = {}
        if transport == "rediss":
            settings["ssl_context"] = context or context_from_query(dict(parse_qsl(parts.query)))
        if kind == "sentinel":
            return _of_sentinels(parts, settings)
        if kind == "cluster":
            return _of_cluster(parts, settings)
        return _of_server(f"{transport}://{rest}", parts, settings)
    except (ValueError, OSError, RuntimeError) as error:
        raise ValueError(f"{shown}: {error}") from None


def with_credentials(url: str, user: str, password: str) -> str:
    """Return the URL with these credentials in place of all that it has."""
    scheme, separator, rest = url.partition("://")
    before, mark, query = rest.partition("?")
    place, slash, path = before.partition("/")
    kept = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in ("username", "password")]
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    plain = f"{scheme}{separator}{credentials}@{place.rpartition('@')[2]}{slash}{path}"
    return f"{plain}{mark}{urlencode(kept)}" if kept else plain


def without_password(url: str) -> str:
    """Return the URL as it may be shown."""
    url, separator, query = url.partition("?")
    if separator:
        url = f"{url}?{'***' if 'password' in query else query}"
    before, at, after = url.rpartition("@")
    scheme, separator, _ = before.partition("://")
    return f"{scheme}{separator}***@{after}" if at else url


def _of_server(url: str, parts: SplitResult, settings: dict[str, Any]) -> Client:
    unix = parts.scheme == "unix"
    complete = parts.path if unix else parts.hostname and (parts.port or PORT)
    if not complete or "," in (parts.hostname or ""):
        raise ValueError("not a URL of one server")
    if not unix:
        _database(parts.path.strip("/"))
    client: coredis.Redis[Any] = coredis.Redis.from_url(url, decode_components=True, **settings)
    return client


def _of_cluster(parts: SplitResult, settings: dict[str, Any]) -> Client:
    if _database(parts.path.strip("/")):
        raise ValueError("a cluster has database 0 only")
    _none_unknown(_query(parts), ())
    nodes: list[Any] = _locations(parts, PORT)
    return _Cluster(startup_nodes=nodes, decode_responses=False, **_credentials(parts), **settings)


def _of_sentinels(parts: SplitResult, settings: dict[str, Any]) -> Client:
    name, _, database = parts.path.strip("/").partition("/")
    if not name:
        raise ValueError("the name of the primary is missing: HOST:PORT/NAME")
    number = _database(database)
    query = _query(parts)
    _none_unknown(query, ("sentinel_username", "sentinel_password"))
    theirs = {word: query[f"sentinel_{word}"] for word in ("username", "password") if f"sentinel_{word}" in query}
    sentinels = Sentinel(
        _locations(parts, SENTINEL_PORT), sentinel_kwargs={**theirs, **settings}, decode_responses=False,
        db=number, **_credentials(parts), **settings,
    )  # fmt: skip
    return sentinels.primary_for(unquote(name), redis_class=_Primary)


class _Primary(coredis.Redis[Any]):
    """A client of the primary that opens and closes its Sentinels as well."""

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        pool: Any = self.connection_pool
        async with pool.sentinel_manager, super().__asynccontextmanager__():
            yield self


class _Cluster(coredis.RedisCluster[Any]):
    """A client of a cluster that closes what coredis leaves open (6.9), of which Python would warn.

    Entering it raises ServerUnavailable if no node can be reached.
    """

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        try:
            async with AsyncExitStack() as stack:
                try:
                    await stack.enter_async_context(super().__asynccontextmanager__())
                except RedisClusterError as error:
                    nodes = [f"{node.host}:{node.port}" for node in self.connection_pool.startup_nodes]
                    raise ServerUnavailable(str(error.__cause__ or error), ", ".join(nodes), None) from None
                yield self
        finally:
            for stream in self.connection_pool.cluster_layout._error_stream:
                stream.close()


def _locations(parts: SplitResult, port: int) -> list[TCPLocation]:
    """Return the places that a URL names, separated by commas. Raises ValueError."""
    found = []
    for text in parts.netloc.rpartition("@")[2].split(","):
        place = urlsplit(f"//{text}")
        if not place.hostname:
            raise ValueError("a host is missing: HOST:PORT,HOST:PORT")
        found.append(TCPLocation(place.hostname, place.port or port))
    return found


def _credentials(parts: SplitResult) -> dict[str, Any]:
    user, separator, password = parts.netloc.rpartition("@")[0].partition(":")
    given = {"username": unquote(user), "password": unquote(password)} if separator else {}
    return {name: value for name, value in given.items() if value}


def _query(parts: SplitResult) -> dict[str, str]:
    return dict(parse_qsl(parts.query))


def _none_unknown(query: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Raise ValueError for a parameter that would have no effect."""
    for name in query:
        if name not in known and not name.startswith("ssl_"):
            raise ValueError(f"{name!r} is no parameter of such a URL")


def _database(text: str) -> int:
    if text and not (text.isascii() and text.isdecimal()):
        raise ValueError(f"{text!r} is no database's number")
    return int(text or 0)
