"""Server-sent events."""

import json
from typing import Any

import anyio
import pytest
from starlette.types import Message

from consumers.console.access.policy import Login, Policy
from consumers.console.pages import streaming
from consumers.console.server import Unreachable
from consumers.console.watch import Watch
from tests.consumers.console.consoles import Browser, open_console

pytestmark = pytest.mark.both_loops


class Stream:
    """A request for a stream, by hand: httpx's transport would wait for its end."""

    def __init__(self, app: object, cookie: str = "", path: str = "/overview/events", query: str = "") -> None:
        self.app = app
        self.path = path
        self.query = query
        self.status = 0
        self.text = ""
        self.gone = anyio.Event()
        self.ended = anyio.Event()
        self.cookie = cookie

    async def run(self) -> None:
        asked = False

        async def receive() -> Message:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            await anyio.lowlevel.checkpoint()
            self.status = message.get("status", self.status)
            self.text += message.get("body", b"").decode()

        await self.app(  # type: ignore[operator]
            {
                "type": "http", "method": "GET", "path": self.path, "root_path": "",
                "query_string": self.query.encode(),
                "headers": [(b"host", b"127.0.0.1:8379"), (b"cookie", self.cookie.encode())], "scheme": "http",
                "client": ("127.0.0.1", 5), "server": ("127.0.0.1", 8379), "http_version": "1.1",
            },
            receive, send,
        )  # fmt: skip
        self.ended.set()

    async def until(self, text: str) -> None:
        with anyio.fail_after(60):
            while text not in self.text:
                await anyio.sleep(0.005)


async def test_samples_are_sent_until_the_viewer_goes(server_url: str) -> None:
    async with open_console(server_url) as app, anyio.create_task_group() as tasks:
        console = app.state.console
        stream = Stream(app)
        tasks.start_soon(stream.run)
        await stream.until("retry:")
        assert (stream.status, console.streams) == (200, 1)
        await stream.until("data: ")
        await console.history.take()
        await console.history.take()
        await stream.until('"samples": [{')
        line = next(line for line in stream.text.splitlines() if '"samples": [{' in line)
        assert json.loads(line[6:])["samples"][0]["connections"] >= 1
        stream.gone.set()
        await stream.ended.wait()
        assert console.streams == 0


async def test_streams_end_with_the_console_and_the_session(server_url: str) -> None:
    async with open_console(server_url, Policy(Login.PASSWORD, "secret")) as app, anyio.create_task_group() as tasks:
        console = app.state.console
        async with Browser(app) as browser:
            await browser.page("/login")
            await browser.form("/login", password="secret")
            cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
            first, second = Stream(app, cookie), Stream(app)
            tasks.start_soon(first.run)
            await first.until("data:")
            sent = first.text
            await second.run()
            assert second.status == 401
            await browser.form("/logout")
            await console.history.take()
            await console.history.take()
            with anyio.fail_after(60):
                await first.ended.wait()
            assert first.text == sent
            await browser.page("/login")
            await browser.form("/login", password="secret")
            cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
            third = Stream(app, cookie)
            tasks.start_soon(third.run)
            await third.until("retry:")
            console.close()
            with anyio.fail_after(60):
                await third.ended.wait()


async def test_streams_are_limited(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "STREAMS", 0)
    async with open_console(server_url) as app:
        stream = Stream(app)
        await stream.run()
        assert stream.status == 503


async def test_readings_are_sent_once_and_so_is_why_there_are_none(autojump_clock: object) -> None:
    error: Exception | None = Unreachable("gone")
    value = "1"

    async def read() -> str:
        if error is not None:
            raise error
        return value

    def later(after: float) -> list[dict[str, float | None]]:
        return [{"time": time, "value": None} for time in (1.0, 2.0) if time > after]

    async with anyio.create_task_group() as tasks:
        watch = Watch("things", read, tasks)
        sent: Any = streaming.updates(watch, lambda found: {"row": {"field": found}}, later)
        first = await anext(sent)
        assert (first["error"], first["rows"]) == ("gone", {})
        assert [one["time"] for one in first["samples"]] == [1.0, 2.0]
        error = None
        assert await anext(sent) == {"error": None, "rows": {"row": {"field": "1"}}, "samples": []}
        value = "2"
        assert (await anext(sent))["rows"] == {"row": {"field": "2"}}
        error = Unreachable("gone again")
        assert await anext(sent) == {"error": "gone again", "rows": {"row": {"field": "2"}}, "samples": []}
        await sent.aclose()
        # nobody looks: nothing is read
        taken = watch.taken
        await anyio.sleep(100)
        assert watch.taken == taken


def test_rows_have_short_keys() -> None:
    keys = [streaming.row_key(name) for name in (b"", b"a", b"\xff" * 1_000_000)]
    assert len(set(keys)) == 3 and {len(key) for key in keys} == {18}
