"""One stream: its entries, decoded and escaped, and how it is followed."""

import logging

import anyio
import coredis
import pytest

from consumers.console.pages import stream as module
from tests.consumers.console.consoles import open_browser
from tests.consumers.console.pages.test_addressed import ADDRESS, HOSTILE
from tests.consumers.console.pages.test_streaming import Stream

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


async def test_entries_are_decoded_and_escaped(
    client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENTRIES", 2)
    fields = {f"field {n}": "x" for n in range(30)}
    await client.xadd(HOSTILE, fields, identifier="1-1")
    await client.xadd(HOSTILE, {"<i>\x00": b"<script>alert(1)</script>", "j": b'{"<b>": 1}'}, identifier="2-1")
    await client.xadd(HOSTILE, {"huge": b"<u>" * 1_000_000, "bytes": b"\xff\xfe"}, identifier="3-1")
    async with open_browser(server_url) as browser:
        text = await browser.page(f"/streams/stream?{ADDRESS}")
        for tag in ("<i>", "<script>alert", "<b>", "<u>"):
            assert tag not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and '<span class="badge">json</span>' in text
        assert '<code>fffe</code> <span class="badge">hex</span>' in text and len(text) < 50_000
        assert "1-1</a>" not in text
        text = await browser.page(f"/streams/stream?{ADDRESS}&after=2-1")
        assert "1-1</a>" in text and "and 10 more" in text and "First page" in text
        text = await browser.page(f"/streams/entry?{ADDRESS}&id=1-1")
        assert "field 29" in text
        for wrong, status in (
            ("/streams/stream", 404), ("/streams/stream?key=nosuch", 404), (f"/streams/stream?{ADDRESS}&after=x", 400),
            (f"/streams/entry?{ADDRESS}&id=x", 404), (f"/streams/entry?{ADDRESS}&id=9-9", 404),
            (f"/streams/group?{ADDRESS}&group=x", 404),
        ):  # fmt: skip
            await browser.page(wrong, status)


async def test_a_viewer_follows(client: Client, server_url: str) -> None:
    await client.xadd(HOSTILE, {"a": "old"})
    async with open_browser(server_url) as browser, anyio.create_task_group() as tasks:
        stream = Stream(browser.app, path="/streams/events", query=ADDRESS)
        tasks.start_soon(stream.run)
        await stream.until('"rows": []')
        await client.xadd(HOSTILE, {"<a>\n": b"new \xff"}, identifier="99999999999999-1")
        await stream.until("99999999999999-1")
        assert '["99999999999999-1", "<a>\\\\n: 6e657720ff"]' in stream.text and "old" not in stream.text
        stream.gone.set()
        with anyio.fail_after(60):
            await stream.ended.wait()
        assert browser.console.streams == 0


async def test_a_stream_is_trimmed(client: Client, server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1, 10):
        await client.xadd(HOSTILE, {"a": "b"}, identifier=f"{number}-1")
    trim = f"/streams/trim?{ADDRESS}"
    async with open_browser(server_url) as browser:
        assert f'action="{trim}"' in await browser.page(f"/streams/stream?{ADDRESS}")
        asked = await browser.form(trim, strategy="maxlen", threshold="7")
        assert "to its newest 7 entries?" in asked and "2 of its 9 entries are removed." in asked
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            assert "2 entries were removed." in await browser.confirmed(trim, strategy="maxlen", threshold="7")
        assert "action='trim stream'" in caplog.messages[-1] and await client.xlen(HOSTILE) == 7
        huge = await browser.form(trim, strategy="maxlen", threshold="9" * 5000)
        assert "0 of its 7 entries are removed." in huge
        assert "to entries from 4-1 on?" in await browser.form(trim, strategy="minid", threshold="4-1")
        assert "1 entry was removed." in await browser.confirmed(trim, strategy="minid", threshold="4-1")
        for strategy, typed, text in (
            ("maxlen", "few<i>", "not an integer"),
            ("minid", "first<i>", "Invalid stream ID"),
        ):
            answer = await browser.confirmed(trim, 400, strategy=strategy, threshold=typed)
            assert text in answer and f'value="{typed[:-3]}&lt;i&gt;"' in answer
            assert f'<option value="{strategy}" selected>' in answer and "<i>" not in answer
        await browser.form(trim, 400, strategy="all", threshold="1")
        assert await client.xlen(HOSTILE) == 6
