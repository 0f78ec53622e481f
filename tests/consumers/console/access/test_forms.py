"""Forms need their token, and have to arrive."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from consumers.console.access import forms
from tests.consumers.console.consoles import Browser, open_browser, open_console
from tests.consumers.servers import in_process_broker


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with in_process_broker() as url:
        yield url


async def test_every_form_needs_its_token(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_browser(url) as browser:
        posts = [route.path for route in browser.app.routes if "POST" in (getattr(route, "methods", None) or ())]
        assert len(posts) >= 3
        for path in posts:
            for token in ("", "0" * 64, "é"):
                with caplog.at_level(logging.INFO, "consumers.console.audit"):
                    response = await browser.post(path, data={"csrf": token, "confirmed": "yes"})
                assert response.status_code == 403 and "This form is too old" in response.text, path
                assert "action='refused: CSRF token'" in caplog.messages[-1]
            assert (await browser.get(path, headers={"accept": "text/html"})).status_code != 500


async def test_a_token_is_one_browser_s(url: str) -> None:
    async with open_console(url) as app, Browser(app) as mine, Browser(app) as other:
        await mine.page("/clients")
        await other.page("/clients")
        assert mine.token and mine.token != other.token
        await other.form("/clients/end?id=1")
        assert (await other.post("/clients/end?id=1", data={"csrf": mine.token})).status_code == 403


async def test_bytes_that_are_no_text_are_no_token(url: str) -> None:
    async with open_browser(url) as browser:
        typed = {"content-type": "application/x-www-form-urlencoded"}
        response = await browser.post("/clients/end?id=1", content=b"csrf=%FF", headers=typed)
        assert response.status_code == 403


async def test_what_is_no_form_is_refused(url: str) -> None:
    async with open_browser(url) as browser:
        typed = {"content-type": "application/x-www-form-urlencoded"}
        for content, headers, status in (
            (b"{}", {"content-type": "application/json"}, 415),
            (b"", {}, 415),
            (b"a=1&" * 2000, typed, 400),
            ("é".encode(), typed, 400),
            (b"a=" + b"x" * 2_000_000, typed, 413),
        ):
            response = await browser.post("/clients/end", content=content, headers=headers)
            assert response.status_code == status


@pytest.mark.parametrize(("rest", "status"), [(None, 408), ({"type": "http.disconnect"}, 400)])
async def test_a_form_that_does_not_arrive(
    url: str,
    rest: dict[str, Any] | None,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither the visitor who never ends it, nor the one who goes away, costs a connection or an error in the log."""
    monkeypatch.setattr(forms, "ARRIVAL_SECONDS", 0.01)
    messages = iter([{"type": "http.request", "body": b"csrf=", "more_body": True}, rest])
    sent: list[Any] = []

    async def receive() -> Any:
        message = next(messages)
        if message is None:
            await anyio.sleep_forever()
        return message

    async def send(message: Any) -> None:
        sent.append(message)

    async with open_console(url) as app:
        headers = [(b"host", b"localhost"), (b"content-type", b"application/x-www-form-urlencoded")]
        scope = {"type": "http", "method": "POST", "path": "/clients/end", "query_string": b"id=1", "headers": headers}
        await app(scope | {"scheme": "http", "root_path": "", "http_version": "1.1"}, receive, send)
    assert sent[0]["status"] == status
    assert "has failed" not in caplog.text
