"""The application as a whole: errors, and what hostile clients have stored."""

import logging

import pytest
import trio

from consumers.console.access.policy import Login, Policy
from consumers.console.app import PAGES
from consumers.console.pages import clients
from tests.consumers.console.consoles import Browser, open_browser, open_console
from tests.consumers.servers import in_process_broker


async def test_every_page_is_there() -> None:
    async with in_process_broker() as url, open_browser(url) as browser:
        for page in PAGES:
            text = await browser.page(page.path)
            assert f'<a href="{page.path}" aria-current="page">{page.title}</a>' in text
            assert text.count("<h1") == 1 and "<title>" in text


async def test_no_query_breaks_a_page() -> None:
    hostile = "%FF%00%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%ED%A0%80"
    async with in_process_broker() as url, open_browser(url) as browser:
        paths = [route.path for page in PAGES for route in page.routes if "GET" in (route.methods or ())]  # type: ignore[attr-defined]
        assert len(paths) > 8
        for path in paths:
            if path.endswith(("/events", "/follow", "/tap")):
                continue
            for name in ("search", "name", "key", "id", "order", "library", "state", "after", "place", "cursor"):
                response = await browser.get(f"{path}?{name}={hostile}")
                assert response.status_code < 500, (path, name, response.text)
                assert "<script>alert" not in response.text


async def test_errors_are_pages() -> None:
    async with in_process_broker() as url, open_browser(url) as browser:
        assert "There is no such page." in await browser.page("/nosuch", 404)
        assert "used like that" in await browser.form("/clients", 405)
        assert (await browser.get("/static/../app.py")).status_code == 404
        assert (await browser.get("/static/%2e%2e/app.py")).status_code == 404


async def test_a_server_that_is_away_is_reported() -> None:
    async with open_console("redis://127.0.0.1:1/0") as app, Browser(app) as browser:
        text = await browser.page("/", 503)
        assert "The server can&#39;t be reached: no connection to 127.0.0.1:1: Connection refused" in text


async def test_the_log_says_at_the_start_that_the_server_is_away(caplog: pytest.LogCaptureFixture) -> None:
    async with open_console("redis://:secret@127.0.0.1:1/0"):
        with trio.fail_after(30):
            while "redis://***@127.0.0.1:1/0 can't be reached: no connection to 127.0.0.1:1" not in caplog.text:
                await trio.sleep(0.01)
    assert "secret" not in caplog.text


@pytest.mark.parametrize("login", [Login.NONE, Login.SERVER])
async def test_the_log_says_at_the_start_that_the_console_has_no_password(
    login: Login, caplog: pytest.LogCaptureFixture
) -> None:
    async with in_process_broker(requirepass="secret") as url, open_console(url, Policy(login)) as app:
        await app.state.console.look_for_server()
        refused = f"{url} refuses the console's user: the server wants a password"
        assert (refused in caplog.text) == (login is Login.NONE)


async def test_a_fault_is_in_the_log_only(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(text: str) -> None:
        raise RuntimeError("secret")

    async with in_process_broker() as url, open_browser(url) as browser:
        monkeypatch.setattr(clients, "clients_of", fail)
        with caplog.at_level(logging.ERROR, "consumers.console"):
            text = await browser.page("/clients", 500)
        assert "Something went wrong here." in text and "secret" not in text
        assert "GET /clients has failed" in caplog.text and "secret" in caplog.text
