"""A stream with partitions: one row in the list, and a page of its own."""

import logging
import re

import coredis
import pytest

from consumers.console import stream_entries
from consumers.console.access.policy import Policy
from consumers.console.pages import partitions as module
from consumers.partitions import record_dead_letters
from consumers.streams import Consumer, Message, Producer
from tests.consumers.console.consoles import open_browser
from tests.consumers.console.pages.test_streams import looked
from tests.consumers.console.test_stream_entries import died
from tests.consumers.streams.running import running, until

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
NAME = "<orders>"
PAGE = "/streams/partitions?stream=%3Corders%3E"


def flat(text: str) -> str:
    return re.sub(r">\s+<", "><", text)


async def test_the_list_has_one_row(client: Client, server_url: str) -> None:
    await Producer(client, NAME, partitions=4).publish_many({"n": str(n)} for n in range(8))
    await client.xadd("alike:{0}", {"a": "b"})
    async with open_browser(server_url) as browser:
        await looked(browser)
        text = flat(await browser.page("/streams"))
        assert "2 of 2 shown." in re.sub(r"\s+", " ", text)
        assert f'<a href="{PAGE}">&lt;orders&gt;</a><span class="badge">4 partitions</span>' in text
        assert '<a href="/streams/stream?key=alike%3A%7B0%7D">alike:{0}</a></th>' in text
        assert "trimaran_stream_partitions" in (await browser.get("/metrics")).text


async def test_its_page_has_the_partitions_and_their_owners(
    client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHOWN", 3)
    handled = 0

    async def handler(message: Message) -> None:
        nonlocal handled
        handled += 1

    consumer = Consumer(client, stream=NAME, group="<billing>", consumer="<worker>", partitions=4, block=0.5)
    async with running(consumer, handler), open_browser(server_url) as browser:
        await Producer(client, NAME, partitions=4).publish_many({"n": str(n)} for n in range(8))
        await until(lambda: handled == 8 and consumer.statistics.acknowledged == 8)
        text = flat(await browser.page(PAGE))
        assert '<span class="badge">4 partitions</span>' in text and "<dt>Entries</dt><dd>8</dd>" in text
        assert '<th scope="row">&lt;billing&gt;</th>' in text and "<worker>" not in text
        own = "/streams/stream?key=%3Corders%3E%3A%7B0%7D"
        assert f'<a href="{own}">&lt;orders&gt;:{{0}}</a></th><td class="number">2</td>' in text
        assert text.count("<div>&lt;billing&gt;: &lt;worker&gt;</div>") == 3
        assert ":{3}</a>" in await browser.page(f"{PAGE}&from=3")
        assert f'<a href="{PAGE}">&lt;orders&gt;</a>, all partitions' in await browser.page(own)
        await browser.page(f"{PAGE}&from=x", 400)


async def test_what_only_looks_like_it_has_no_page(client: Client, server_url: str) -> None:
    await client.xadd("alike:{0}", {"a": "b"})
    await client.xadd("plain", {"a": "b"})
    async with open_browser(server_url) as browser:
        for name in ("alike", "plain", "", "%7Ba%7D"):
            assert "no such stream with partitions" in await browser.page(f"/streams/partitions?stream={name}", 404)
        assert "all partitions" not in await browser.page("/streams/stream?key=alike%3A%7B0%7D")


async def test_partitions_that_hold_nothing_yet(client: Client, server_url: str) -> None:
    await client.set(f"{NAME}:partitions", "2")
    async with open_browser(server_url) as browser:
        assert '&lt;orders&gt;:{1}</th><td class="number">-</td>' in flat(await browser.page(PAGE))


async def test_the_letters_of_all_partitions_go_back(
    client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stream_entries, "REDRIVEN", 3)
    await record_dead_letters(client, "<dead>", 3)
    for number in (0, 0, 2, 2):
        await died(client, f"<dead>:{{{number}}}".encode(), f"{NAME}:{{{number}}}", "text")
    await client.set(f"{NAME}:partitions", "3")
    redrive = "/streams/redrive-partitions?stream=%3Cdead%3E"
    async with open_browser(server_url) as browser:
        assert f'action="{redrive}"' in await browser.page("/streams/partitions?stream=%3Cdead%3E")
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            assert "3 dead letters were redriven." in await browser.confirmed(redrive)
        assert "action=redrive" in caplog.messages[-1]
        assert [await client.xlen(f"{NAME}:{{{number}}}") for number in range(3)] == [2, 0, 1]
        assert "1 dead letter was redriven." in await browser.confirmed(redrive)
        assert "redrive-partitions" not in await browser.page("/streams/partitions?stream=%3Cdead%3E")
        assert "redrive-partitions" not in await browser.page(PAGE)
        await browser.form("/streams/redrive-partitions?stream=nosuch", 404)
    async with open_browser(server_url, Policy(read_only=True)) as browser:
        assert 'method="post"' not in await browser.page("/streams/partitions?stream=%3Cdead%3E")
        assert (await browser.post(redrive, data={"confirmed": "yes"})).status_code == 403
