"""Workflows: listed, drawn and cancelled."""

import logging

import coredis
import pytest

from consumers.console.access.policy import Policy
from consumers.console.pages import workflows as module
from tests.consumers.console.consoles import open_browser
from tests.consumers.console.test_workflows import started

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
ADDRESS = "queue=shop%3Cb%3E&id=one"


async def test_a_workflow_is_drawn(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await started(client, "one")
    async with open_browser(server_url) as browser:
        text = await browser.page("/workflows")
        assert f"/workflows/workflow?{ADDRESS}".replace("&", "&amp;") in text and "shop&lt;b&gt;</td>" in text
        text = await browser.page(f"/workflows/workflow?{ADDRESS}")
        assert "<i>" not in text and "<b>" not in text
        assert text.count('<g class="node ') == 6 and text.count('<path class="edge') == 5
        assert text.count('<path class="edge failure"') >= 1 and "first&lt;i&gt;</text>" in text
        assert "/queues/job?library=consumers&amp;name=shop%3Cb%3E&amp;id=one%2F0" in text
        assert '<td class="break">second, third</td>' in text
        monkeypatch.setattr(module, "DRAWN", 5)
        assert "<g " not in await browser.page(f"/workflows/workflow?{ADDRESS}")
        for wrong in ("queue=shop%3Cb%3E&id=nosuch", "queue=%7B&id=x", "queue=x", "queue=%FF&id=x", ""):
            await browser.page(f"/workflows/workflow?{wrong}", 404)
        await browser.page("/workflows?after=x", 400)


async def test_a_workflow_is_cancelled(client: Client, server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    await started(client, "one")
    async with open_browser(server_url) as browser:
        path = f"/workflows/cancel?{ADDRESS}"
        assert "Cancel the workflow one of shop&lt;b&gt;?" in await browser.form(path)
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            text = await browser.confirmed(path)
        assert "The workflow is cancelled." in text and "action='cancel workflow'" in caplog.messages[-1]
        assert "<td>cancelled</td>" in text


async def test_a_read_only_console_cancels_nothing(client: Client, server_url: str) -> None:
    await started(client, "one")
    async with open_browser(server_url, Policy(read_only=True)) as browser:
        assert 'method="post"' not in await browser.page(f"/workflows/workflow?{ADDRESS}")
        response = await browser.post(f"/workflows/cancel?{ADDRESS}", data={"confirmed": "yes"})
        assert response.status_code == 403 and "read-only" in response.text
