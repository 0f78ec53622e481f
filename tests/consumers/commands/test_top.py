"""`trimaran top`: one look as text, as JSON, and what a terminal shows."""

import io
import json
from dataclasses import replace

import coredis
import pytest
import trio
from rich.console import Console

from consumers.commands import top
from consumers.commands.server_figures import read
from consumers.console.queues.discovery import Discovery
from consumers.console.queues.library import Figures
from tests.consumers.commands.commands import lines, prepared

Client = coredis.Redis[bytes]


@pytest.fixture
async def queues(client: Client) -> Client:
    await client.rpush("huey.redis.small", ["x"])
    await client.rpush("rq:queue:reports", ["a", "b", "c"])
    await client.sadd("rq:queues", {"rq:queue:reports"})
    await client.set("rq:suspended", "1")
    return client


async def test_one_look_as_text(queues: Client) -> None:
    found = await lines(top, queues, "--once")
    facts = dict(line.split("\t") for line in found[: found.index("")])
    assert facts["server"].startswith(("Trimaran", "Redis")) and "3 keys" not in facts["server"]
    table = [line.split("\t") for line in found[found.index("") + 1 :]]
    assert table[0] == [
        "library",
        "queue",
        "waiting",
        "running",
        "delayed",
        "dead",
        "done",
        "oldest",
        "workers",
        "paused",
    ]
    assert table[1:] == [
        ["RQ", "reports", "3", "0", "0", "0", "0", "-", "0", "paused"],
        ["Huey", "small", "1", "-", "0", "-", "-", "-", "-", "-"],
    ]
    assert await lines(top, queues) != []


async def test_one_look_as_json(queues: Client) -> None:
    (line,) = await lines(top, queues, "--once", "--json")
    found = json.loads(line)
    assert [(one["library"], one["name"], one["waiting"]) for one in found["queues"]] == [
        ("rq", "reports", 3), ("huey", "small", 1),
    ]  # fmt: skip
    assert found["server"]["clients"] >= 1


def figures(n: int) -> Figures:
    return Figures(
        library="rq", name=f"queue {n}\x1b[2J", waiting=n, running=2, delayed=None, exact=n != 7, oldest=65.0
    )


def drawn(count: int, rows: int) -> list[str]:
    console = Console(width=110, file=io.StringIO(), force_terminal=False)
    server = read([{"redis_version": "8.0", "redis_mode": "standalone"}])
    with console.capture() as capture:
        console.print(top.drawn(server, [figures(n) for n in range(count)], Discovery(), rows))
    return capture.get().splitlines()


def test_a_terminal_shows_the_fullest_queues() -> None:
    text = drawn(10, 3)
    body = text[next(n for n, line in enumerate(text) if line.startswith("library")) + 1 :]
    assert [line.split()[:4] for line in body[:3]] == [
        ["RQ", "queue", f"{n}\\x1b[2J", f"{'~' * (n == 7)}{n}"] for n in (9, 8, 7)
    ]
    assert "1m5s" in body[0] and body[3].strip() == "7 more queues"
    assert "no queues" in drawn(0, 3)[-1]


async def test_refreshing(queues: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []

    class Screen(top.Live):
        def __init__(self, **settings: object) -> None:
            super().__init__(console=Console(file=io.StringIO()), auto_refresh=False)

        def update(self, renderable: object, *, refresh: bool = False) -> None:  # type: ignore[override]
            shown.append(renderable)

    monkeypatch.setattr(top, "Live", Screen)
    monkeypatch.setattr(top, "SHARE", 1.0)
    with trio.move_on_after(20) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(top._show, queues, Discovery(), 0.05)
            while len(shown) < 3:
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert not scope.cancelled_caught


@pytest.mark.parametrize("seconds", ["0", "nan", "1e9", "x"])
def test_intervals(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        prepared(top, ["--interval", seconds])
    refusal = f"argument --interval: {seconds!r} is not a number of seconds from 0.5 to 86400"
    assert capsys.readouterr().err == f"trimaran top: {refusal}; see trimaran top --help\n"


def test_extrapolated_figures_are_marked() -> None:
    assert top._cells(replace(figures(1), exact=False), Discovery())[2:5] == ["~1", "~2", "-"]
