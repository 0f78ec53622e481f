"""Which URLs are taken, and that every other one is refused in a line."""

from pathlib import Path
from typing import Any

import pytest

from consumers.addresses import client_from_url
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


REFUSED = {
    "redis+cluster://a:1": "redis+cluster:// is not supported, only redis://, rediss://, unix://; "
    "open the queue with a coredis.RedisCluster client",
    "redis+sentinel://a/main": "redis+sentinel:// is not supported, only redis://, rediss://, unix://; "
    "open the queue with a client of coredis.sentinel.Sentinel",
    "http://x": "http:// is not supported, only redis://, rediss://, unix://",
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


@pytest.mark.parametrize("url", ["redis+cluster://a:1", "http://x"])
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
