"""Which URLs are taken, and that every other one is refused in a line."""

import ssl
from pathlib import Path
from typing import Any

import coredis
import pytest
from coredis.pool import SentinelConnectionPool

from consumers.addresses import client_from_url, with_credentials
from consumers.commands import publish, queues, redrive, tail, work
from consumers.jobs import Queue


@pytest.mark.parametrize(
    ("url", "location", "settings"),
    [
        ("redis://127.0.0.1:5", "127.0.0.1:5", {}),
        ("REDIS://h", "h:6379", {}),
        ("rediss://u:p%40w@h:1/3", "h:1", {"username": "u", "password": "p@w", "db": 3}),
        ("redis://[::1]:6/2", "::1:6", {"db": 2}),
        ("unix:///tmp/x", "/tmp/x", {}),
    ],
)
def test_urls_of_servers(url: str, location: str, settings: dict[str, Any]) -> None:
    pool = client_from_url(url).connection_pool
    assert str(pool.location) == location
    assert {name: pool.connection_kwargs.get(name) for name in settings} == settings


def test_urls_of_clusters() -> None:
    client = client_from_url("rediss+cluster://u:p%40w@a:1,b,[::1]:3?ssl_cert_reqs=none")
    assert isinstance(client, coredis.RedisCluster)
    pool = client.connection_pool
    nodes = {(node.host, node.port) for node in pool.startup_nodes}
    assert nodes == {("a", 1), ("b", 6379), ("::1", 3)}
    for stream in pool.cluster_layout._error_stream:
        stream.close()  # which entering the client would do
    kept = pool.connection_kwargs
    assert (kept["username"], kept["password"]) == ("u", "p@w") and kept["ssl_context"].verify_mode == ssl.CERT_NONE


def test_urls_of_sentinels() -> None:
    client = client_from_url("redis+sentinel://:secret@a:1,b/main/4?sentinel_password=other")
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool) and pool.is_primary
    assert (pool.service_name, pool.connection_kwargs["db"], pool.connection_kwargs["password"]) == (
        "main",
        4,
        "secret",
    )
    sentinels = pool.sentinel_manager.sentinels
    assert [str(one.connection_pool.location) for one in sentinels] == ["a:1", "b:26379"]
    assert {one.connection_pool.connection_kwargs["password"] for one in sentinels} == {"other"}


KNOWN = (
    "redis://, rediss://, unix://, redis+sentinel://, rediss+sentinel://, redis+cluster://, rediss+cluster://"
)  # fmt: skip

REFUSED = {
    "redis+cluster://a:1/2": "a cluster has database 0 only",
    "redis+cluster://": "a host is missing: HOST:PORT,HOST:PORT",
    "redis+cluster://a:1,": "a host is missing: HOST:PORT,HOST:PORT",
    "redis+cluster://a:1?readonly=yes": "'readonly' is no parameter of such a URL",
    "redis+sentinel://a:1": "the name of the primary is missing: HOST:PORT/NAME",
    "redis+sentinel://a:1/main/x": "'x' is no database's number",
    "http+cluster://a:1": f"http+cluster:// is not supported, only {KNOWN}",
    "http://x": f"http:// is not supported, only {KNOWN}",
    "localhost:6379": "not a URL of a server, as redis://host:port is",
    "redis://": "not a URL of one server",
    "redis://a,b:1": "not a URL of one server",
    "redis://h:x": "Port could not be cast to integer value as 'x'",
    "redis://h:1/abc": "'abc' is no database's number",
    "unix://": "not a URL of one server",
}


@pytest.mark.parametrize("url", REFUSED)
async def test_other_urls_are_refused_by_queues(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        async with Queue("q").open(url):
            pass
    assert str(caught.value) == f"{url}: {REFUSED[url]}"


@pytest.mark.parametrize("url", ["redis+cluster://a:1/2", "http://x"])
def test_other_urls_are_refused_by_commands(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_jobs.py").write_text("from consumers.jobs import Queue\nqueue = Queue('theirs')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for command, words in (
        (publish, ["news", "x"]), (tail, ["news"]), (queues, []), (redrive, ["dead"]), (work, ["their_jobs:queue"]),
    ):  # fmt: skip
        assert command.main([*words, "--url", url]) == 2
        name = command.__name__.rpartition(".")[2]
        *before, last = capsys.readouterr().err.splitlines()
        assert last == f"trimaran {name}: {url}: {REFUSED[url]}"
        assert all(" INFO " in line for line in before)


def test_a_password_is_not_shown() -> None:
    with pytest.raises(ValueError, match=r"^redis://\*\*\*@h:x: Port"):
        client_from_url("redis://u:secret@h:x")
    with pytest.raises(ValueError, match=r"^redis\+sentinel://a\?\*\*\*: the name"):
        client_from_url("redis+sentinel://a?sentinel_password=secret")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h:1/2", "redis://a%3Ab:p%40%2F@h:1/2"),
        ("rediss://old:secret@h", "rediss://a%3Ab:p%40%2F@h"),
        ("unix:///tmp/x?db=3&password=secret", "unix://a%3Ab:p%40%2F@/tmp/x?db=3"),
        ("redis+sentinel://u:p@h:1,i:2/name/1?sentinel_password=q", "redis+sentinel://a%3Ab:p%40%2F@h:1,i:2/name/1"
         "?sentinel_password=q"),
    ],
)  # fmt: skip
def test_credentials_are_replaced(url: str, expected: str) -> None:
    assert with_credentials(url, "a:b", "p@/") == expected
    settings = client_from_url(expected).connection_pool.connection_kwargs
    assert (settings["username"], settings["password"]) == ("a:b", "p@/")
