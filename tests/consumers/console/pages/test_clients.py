"""Clients: listed, found, and ended."""

import logging

import coredis
import pytest

from consumers.console.pages.clients import clients_of
from tests.consumers.console.consoles import open_browser

pytestmark = pytest.mark.both_loops


async def test_a_client_is_found_and_ended(server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    named = coredis.Redis.from_url(server_url, max_connections=1, client_name="victim<&>")
    async with named as victim, open_browser(server_url) as browser:
        number = await victim.client_id()
        text = await browser.page("/clients?search=VICTIM")
        assert "1 of 1 shown" in text
        assert "victim&lt;&amp;&gt;" in text and "victim<&>" not in text
        assert f'action="/clients/end?id={number}"' in text
        assert "No client matches." in await browser.page("/clients?search=nosuch")
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            text = await browser.confirmed(f"/clients/end?id={number}")
        assert f"The connection of client {number} was ended." in text
        assert f"user=- address=127.0.0.1 action='end connection' id={number} ended=1" in caplog.messages
        assert "was ended" not in await browser.page("/clients")
        text = await browser.confirmed("/clients/end?id=999999999")
        assert "There is no client 999999999." in text


async def test_mistakes_are_refused(server_url: str) -> None:
    async with open_browser(server_url) as browser:
        await browser.page("/clients?order=evil", 400)
        await browser.form("/clients/end?id=1%20SKIPME%20no", 400)
        await browser.form("/clients/end", 400)


def test_lines_of_any_server_are_read() -> None:
    [one] = clients_of(
        "id=3 addr=[::1]:5 name= age=7 idle=1 flags=N db=0 sub=1 psub=2 cmd=client|list omem=20 user=x\n"
    )
    assert (one.id, one.address, one.name, one.age, one.command) == ("3", "[::1]:5", "", 7, "client list")
    assert (one.subscriptions, one.unsent, one.memory, one.library) == (3, 20, 0, "")
