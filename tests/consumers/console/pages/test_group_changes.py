"""Groups, created, moved and deleted, and their consumers."""

import logging
from typing import Any

import coredis
import pytest

from consumers.console.access.policy import Policy
from consumers.console.pages import group_changes as module
from tests.consumers.console.consoles import open_browser
from tests.consumers.console.pages.test_addressed import ADDRESS, HOSTILE

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
NAME = b"<g>\xff"
GROUP = f"{ADDRESS}&group=%3Cg%3E%FF"


async def groups(client: Client, key: str | bytes = HOSTILE) -> dict[bytes, dict[bytes, Any]]:
    found: Any = await client.xinfo_groups(key)
    return {one[b"name"]: dict(one) for one in found}


async def test_a_group_is_created(client: Client, server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    await client.xadd(HOSTILE, {"a": "b"}, identifier="1-1")
    create = f"/streams/create-group?{ADDRESS}"
    async with open_browser(server_url) as browser:
        assert f"/streams/new-group?{ADDRESS}" in await browser.page(f"/streams/stream?{ADDRESS}")
        assert 'name="stream"' not in await browser.page(f"/streams/new-group?{ADDRESS}")
        fields = {"group": "3c673eff", "start": "0", "notation": "hex"}
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            text = await browser.confirmed(create, **fields)
        assert "was created." in text and "&lt;g&gt;\\xff <span" in text
        assert "action='create group'" in caplog.messages[-1]
        assert (await groups(client))[NAME][b"last-delivered-id"] == b"0-0"
        answer = await browser.confirmed(create, 400, **fields)
        assert "already exists" in answer and 'value="3c673eff"' in answer
        assert '<option value="hex" selected>' in answer
        answer = await browser.confirmed(create, 400, group="other<i>", start="soon")
        assert "Invalid stream ID" in answer and 'value="other&lt;i&gt;"' in answer and 'value="soon"' in answer
        for wrong in ({"group": ""}, {"group": "xy", "notation": "hex"}):
            await browser.form(create, 400, **wrong)
        await client.delete([HOSTILE])
        assert "requires the key to exist" in await browser.confirmed(create, 400, **fields)


async def test_a_group_is_created_with_its_stream(client: Client, server_url: str) -> None:
    async with open_browser(server_url) as browser:
        assert 'name="stream"' in await browser.page("/streams/new-group")
        text = await browser.confirmed("/streams/create-group", stream="new", group="g", start="$")
        assert "The group g was created." in text and list(await groups(client, "new")) == [b"g"]
        await browser.form("/streams/create-group", 400, stream="", group="g", start="$")


async def test_a_group_goes_on_elsewhere(client: Client, server_url: str) -> None:
    for number in range(1, 4):
        await client.xadd(HOSTILE, {"a": "b"}, identifier=f"{number}-1")
    await client.xgroup_create(HOSTILE, NAME, "0")
    move = f"/streams/move-group?{GROUP}"
    async with open_browser(server_url) as browser:
        assert f'action="{move.replace("&", "&amp;")}"' in await browser.page(f"/streams/group?{GROUP}")
        assert "Pending entries stay pending." in await browser.form(move, id="2-1")
        assert "was set." in await browser.confirmed(move, id="2-1")
        assert (await groups(client))[NAME][b"last-delivered-id"] == b"2-1"
        answer = await browser.confirmed(move, 400, id="first<i>")
        assert "Invalid stream ID" in answer and 'value="first&lt;i&gt;"' in answer
        await browser.page(f"/streams/group?{GROUP}")
        await client.xgroup_destroy(HOSTILE, NAME)
        await browser.form(move, 404, id="2-1")


async def test_a_group_is_deleted(client: Client, server_url: str) -> None:
    await client.xadd(HOSTILE, {"a": "b"}, identifier="1-1")
    await client.xgroup_create(HOSTILE, NAME, "0")
    delete = f"/streams/delete-group?{GROUP}"
    async with open_browser(server_url) as browser:
        assert "pending entries" not in await browser.form(delete)
        await client.xreadgroup(NAME, "w", {HOSTILE: ">"})
        assert "Nobody gets its 1 pending entries any more." in await browser.form(delete)
        assert "was deleted." in await browser.confirmed(delete)
        assert await groups(client) == {}
        await browser.form(delete, 404)


async def test_a_consumer_is_deleted(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNTED", 2)
    for number in range(1, 4):
        await client.xadd(HOSTILE, {"a": "b"}, identifier=f"{number}-1")
    await client.xgroup_create(HOSTILE, NAME, "0")
    for name, number in (("<one>", 1), ("two", 2)):
        await client.xreadgroup(NAME, name, {HOSTILE: ">"}, count=number)
    await client.xgroup_createconsumer(HOSTILE, NAME, "none")
    async with open_browser(server_url) as browser:
        page = await browser.page(f"/streams/group?{GROUP}")
        delete = f"/streams/delete-consumer?{GROUP}&consumer="
        assert f"{delete}%3Cone%3E".replace("&", "&amp;") in page and "<one>" not in page
        assert "It has an entry pending, which nobody gets any more" in await browser.form(f"{delete}%3Cone%3E")
        assert "It has 2 or more entries pending" in await browser.form(f"{delete}two")
        assert "pending, which" not in await browser.form(f"{delete}none")
        assert "The consumer two was deleted." in await browser.confirmed(f"{delete}two")
        assert (await groups(client))[NAME][b"pending"] == 1


@pytest.mark.parametrize("server_kind", ["broker-extended"], indirect=True)
async def test_what_is_parked_is_not_given_up(client: Client, server_url: str) -> None:
    await client.xgroup_create(HOSTILE, NAME, "0", mkstream=True)
    delete = f"/streams/delete-consumer?{GROUP}&consumer=%7Eparked"
    async with open_browser(server_url) as browser:
        answer = await browser.confirmed(delete, 400)
        assert 'id="error"' in answer and "entries that wait for their turn" in answer
        await client.xgroup_destroy(HOSTILE, NAME)
        await browser.form(delete, 404)


async def test_a_read_only_console_has_no_forms(client: Client, server_url: str) -> None:
    await client.xgroup_create(HOSTILE, NAME, "0", mkstream=True)
    async with open_browser(server_url, Policy(read_only=True)) as browser:
        for page in (f"/streams/group?{GROUP}", "/streams/new-group", f"/streams/stream?{ADDRESS}"):
            assert 'method="post"' not in await browser.page(page)
        for action in ("create-group", "move-group", "delete-group", "delete-consumer"):
            assert (await browser.post(f"/streams/{action}?{GROUP}", data={"confirmed": "yes"})).status_code == 403
    assert list(await groups(client)) == [NAME]
