"""One pending entry, acknowledged or claimed by hand."""

import logging
import re
from typing import Any

import coredis
import pytest

from consumers.console.access.policy import Policy
from consumers.console.asking import ask
from tests.consumers.console.consoles import Browser, open_browser
from tests.consumers.console.pages.test_addressed import ADDRESS, HOSTILE

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
NAME = b"<g>\xff"
GROUP = f"{ADDRESS}&group=%3Cg%3E%FF"


async def delivered(client: Client, key: bytes = HOSTILE, name: bytes = NAME) -> None:
    """Two entries in the hands of <one>."""
    for number in range(1, 3):
        await client.xadd(key, {"a": "b"}, identifier=f"{number}-1")
    await client.xgroup_create(key, name, "0")
    await client.xreadgroup(name, "<one>", {key: ">"})


async def holders(client: Client) -> dict[bytes, tuple[bytes, int]]:
    found: Any = await client.xpending(HOSTILE, NAME, start="-", end="+", count=10)
    return {one.identifier: (one.consumer, one.delivered) for one in found}


async def form_of(browser: Browser, action: str, id: str = "1-1") -> str:
    """The address of a form on the entry's page."""
    text = await browser.page(f"/streams/pending?{GROUP}&id={id}")
    found = re.search(rf'action="(/streams/{action}\?[^"]*)"', text)
    assert found is not None
    return found[1].replace("&amp;", "&")


async def test_an_entry_is_acknowledged(client: Client, server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    await delivered(client)
    async with open_browser(server_url) as browser:
        address = f"/streams/pending?{GROUP}&id=1-1"
        assert address.replace("&", "&amp;") in await browser.page(f"/streams/group?{GROUP}")
        acknowledge = await form_of(browser, "acknowledge")
        asked = await browser.form(acknowledge)
        assert "The group never gets it again. &lt;one&gt; is not told, and may still be working on it." in asked
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            assert "The entry was acknowledged." in await browser.confirmed(acknowledge)
        assert "action='acknowledge entry'" in caplog.messages[-1] and list(await holders(client)) == [b"2-1"]
        assert "was not pending any more" in await browser.confirmed(acknowledge)
        for wrong in ("1-1", "x", "9-9"):
            await browser.page(f"/streams/pending?{GROUP}&id={wrong}", 404)


async def test_an_entry_is_claimed(client: Client, server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    await delivered(client)
    async with open_browser(server_url) as browser:
        claim = await form_of(browser, "claim")
        assert "&lt;one&gt; is not told" in await browser.form(claim, consumer="two<b>")
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            assert "two&lt;b&gt; has the entry now." in await browser.confirmed(claim, consumer="two<b>")
        assert "action='claim entry'" in caplog.messages[-1]
        # no delivery is counted
        assert await holders(client) == {b"1-1": (b"two<b>", 1), b"2-1": (b"<one>", 1)}
        await browser.form(await form_of(browser, "claim"), 400, consumer="")
        answer = await browser.form(await form_of(browser, "claim"), 400, consumer="x", notation="hex")
        assert "hexadecimal digits, two for each byte" in answer and 'name="consumer" value="x"' in answer


async def test_what_was_delivered_again_meanwhile_is_not_claimed(client: Client, server_url: str) -> None:
    await delivered(client)
    await client.xclaim(HOSTILE, NAME, "<one>", 0, ["1-1"], idle=60_000)
    async with open_browser(server_url) as browser:
        claim = await form_of(browser, "claim")
        await client.xclaim(HOSTILE, NAME, "other", 0, ["1-1"])
        answer = await browser.confirmed(claim, 409, consumer="two")
        assert "It was delivered again meanwhile" in answer and "<dd>other</dd>" in answer and 'value="two"' in answer
        assert (await holders(client))[b"1-1"][0] == b"other"


async def test_a_job_is_better_left_to_its_queue(client: Client, server_url: str) -> None:
    await delivered(client, b"jobs:{<q>}:normal", b"workers")
    async with open_browser(server_url) as browser:
        asked = await browser.form("/streams/acknowledge?key=jobs%3A%7B%3Cq%3E%7D%3Anormal&group=workers&id=1-1")
        assert "It is a job of the queue &lt;q&gt;" in asked


@pytest.mark.parametrize("server_kind", ["broker-extended"], indirect=True)
async def test_what_is_parked_leaves_its_order(client: Client, server_url: str) -> None:
    await client.xgroup_create(HOSTILE, NAME, "0", mkstream=True)
    assert await ask(client, [(b"XGROUP", b"CFGSET", HOSTILE, NAME, b"ORDERBY", b"a")]) == [b"OK"]
    for number in range(1, 4):
        await client.xadd(HOSTILE, {"a": "b"}, identifier=f"{number}-1")
    await client.xreadgroup(NAME, "<one>", {HOSTILE: ">"}, count=10)
    async with open_browser(server_url) as browser:
        assert "leaves their order" in await browser.form(await form_of(browser, "claim", "2-1"), consumer="two")


async def test_a_read_only_console_only_shows_it(client: Client, server_url: str) -> None:
    await delivered(client)
    async with open_browser(server_url, Policy(read_only=True)) as browser:
        text = await browser.page(f"/streams/pending?{GROUP}&id=1-1")
        assert 'method="post"' not in text and "&lt;one&gt;" in text
        for action in ("acknowledge", "claim"):
            response = await browser.post(f"/streams/{action}?{GROUP}&id=1-1", data={"confirmed": "yes"})
            assert response.status_code == 403
    assert len(await holders(client)) == 2
