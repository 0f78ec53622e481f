"""Keys: found, shown and changed."""

import logging
import re
from urllib.parse import quote

import coredis
import pytest

from consumers.console.access.policy import Policy
from consumers.console.pages import keys as module
from tests.consumers.console.consoles import open_browser

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
HOSTILE = b"\xff\x00<script>&\"'=+ %2F\n?#" + bytes(range(256))
ADDRESS = f"key={quote(HOSTILE, safe='')}"


def target(text: str, attribute: str) -> str:
    """The address in the first such attribute of a page."""
    found = re.search(attribute + r'="([^"]*)"', text)
    assert found is not None, text
    return found[1].replace("&amp;", "&").replace("&#39;", "'")


async def test_keys_are_listed_and_found(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await client.set(HOSTILE, "x")
    await client.set("user:1", "x", ex=5000)
    await client.rpush("user:[2]", ["x"])
    await client.set("y" * 5000, "x")
    async with open_browser(server_url) as browser:
        text = await browser.page("/keys")
        assert "<script>&" not in text and "&lt;script&gt;&amp;" in text
        assert f'href="/keys/key?{ADDRESS}"' in text.replace("&#39;", "'").replace("&amp;", "&")
        assert "yyyy" in text and "key=yyyy" not in text
        text = await browser.page("/keys?search=user%3A")
        assert "user:1</a>" in text and "user:[2]</a>" in text and "yyyy" not in text and "1h" in text
        text = await browser.page("/keys?search=%5B2%5D&how=part")
        assert "user:[2]</a>" in text and "user:1" not in text
        text = await browser.page("/keys?search=user%3A%5B12%5D&how=pattern")
        assert "user:1</a>" in text and "user:[2]" not in text.partition("<table")[2]
        text = await browser.page("/keys?type=list")
        assert "user:[2]</a>" in text and "user:1" not in text
        assert "No key matches." in await browser.page("/keys?search=nosuch")
        await browser.page("/keys?how=evil", 400)
        await browser.page("/keys?after=x", 400)
        await browser.page("/keys/key", 404)
        await browser.page("/keys/key?key=nosuch", 404)


async def test_lists_have_pages(client: Client, server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOWN", 10)
    await client.mset({f"key {n:03}": "" for n in range(60)})
    await client.rpush("list", [f"element {n:03}" for n in range(25)])
    async with open_browser(server_url) as browser:
        found: set[str] = set()
        following, pages = "/keys?search=key", 0
        while following:
            text = await browser.page(following)
            found |= set(re.findall(r"key \d{3}(?=</a>)", text))
            following = target(text, 'id="next" href') if 'id="next"' in text else ""
            pages += 1
        assert len(found) == 60 and pages > 1
        text = await browser.page("/keys/key?key=list")
        assert "element 009" in text and "element 010" not in text
        text = await browser.page(target(text, 'id="next" href'))
        assert "element 010" in text and "First page" in text
        await browser.page("/keys/key?key=list&after=x", 400)


async def test_values_are_decoded_and_escaped(client: Client, server_url: str) -> None:
    await client.hset(HOSTILE, {b"<b>\x00": b'{"<i>": [1]}', b"\xff": b"<script>alert(1)</script>", b"n" * 600: b"x"})
    await client.set("huge", b"<u>" * 1_000_000)
    await client.zadd("zset", {"<s>": 1.5})
    async with open_browser(server_url) as browser:
        text = await browser.page(f"/keys/key?{ADDRESS}")
        for tag in ("<b>", "<i>", "<script>alert"):
            assert tag not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and '<span class="badge">json</span>' in text
        assert text.count("/keys/element?") == 3  # two of the fields, and a new one
        text = await browser.page("/keys/key?key=huge")
        assert "<u>" not in text and len(text) < 100_000 and 'id="next"' in text
        text = await browser.page(target(text, 'id="next" href'))
        assert "&lt;u&gt;" in text
        text = await browser.page("/keys/key?key=zset")
        assert "&lt;s&gt;" in text and ">1.5</td>" in text
        text = await browser.page("/keys/element?key=huge&type=string")
        assert "too large" in text and "<textarea" not in text


def form_of(text: str, path: str) -> str:
    """The address to which a page's form for this path is sent."""
    return target(text[text.index(f'action="{path}?') :], "action")


async def test_changes_ask_first_and_are_logged(
    client: Client, server_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.hset(HOSTILE, {b"\xff": "old"})
    async with open_browser(server_url) as browser:
        text = await browser.page(f"/keys/element?{ADDRESS}&type=hash&name=%FF")
        assert "old</textarea>" in text
        put, remove = form_of(text, "/keys/put"), form_of(text, "/keys/remove")
        await browser.form(put, value="new\r\nline")
        assert await client.hget(HOSTILE, b"\xff") == b"old"
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            text = await browser.confirmed(put, value="new\r\nline")
        assert await client.hget(HOSTILE, b"\xff") == b"new\nline" and "It was set." in text
        assert "action='set element' key='\\udcff\\x00<script>" in caplog.messages[-1]
        # what has changed since is neither overwritten nor removed
        assert "changed meanwhile" in await browser.confirmed(put, 409, value="again")
        assert "changed meanwhile" in await browser.confirmed(remove, 409)
        added = form_of(await browser.page(f"/keys/element?{ADDRESS}&type=hash"), "/keys/put")
        await browser.confirmed(added, name="fe", value="00ff", notation="hex")
        assert await client.hget(HOSTILE, b"\xfe") == b"\x00\xff"
        assert "hexadecimal digits" in await browser.form(added, 400, name="x", value="0", notation="hex")
        remove = form_of(await browser.page(f"/keys/element?{ADDRESS}&type=hash&name=%FE"), "/keys/remove")
        await browser.confirmed(remove)
        assert set(await client.hkeys(HOSTILE)) == {b"\xff"}
        await browser.page(f"/keys/element?{ADDRESS}&type=hash&name=nosuch", 404)


async def test_the_key_as_a_whole(client: Client, server_url: str) -> None:
    await client.set(HOSTILE, "x")
    await client.set("taken", "y")
    async with open_browser(server_url) as browser:
        await browser.confirmed(f"/keys/expire?{ADDRESS}", seconds="100.5")
        assert 99 <= await client.ttl(HOSTILE) <= 101
        await browser.confirmed(f"/keys/expire?{ADDRESS}", seconds="")
        assert await client.ttl(HOSTILE) == -1
        for wrong in ("0", "-1", "nan", "inf", "x", "1e99"):
            await browser.form(f"/keys/expire?{ADDRESS}", 400, seconds=wrong)
        assert "such a key already" in await browser.confirmed(f"/keys/rename?{ADDRESS}", 409, name="taken")
        await browser.confirmed(f"/keys/rename?{ADDRESS}", name="ff3c", notation="hex")
        assert await client.get(b"\xff<") == b"x" and await client.get("taken") == b"y"
        text = await browser.confirmed("/keys/delete?key=%FF%3C")
        assert "was deleted" in text and not await client.exists([b"\xff<"])
        assert "no such key any more" in await browser.confirmed("/keys/delete?key=%FF%3C")


async def test_keys_of_each_type_are_created_and_changed(client: Client, server_url: str) -> None:
    async with open_browser(server_url) as browser:
        for type in ("string", "hash", "list", "set", "zset"):
            await browser.page("/keys/new")
            text = await browser.confirmed("/keys/create", type=type, key=type, name="n", value="v", score="2")
            assert "The key was created." in text and f'<span class="badge">{type}</span>' in text
        assert "such a key already" in await browser.confirmed("/keys/create", 409, type="set", key="hash", name="n")
        assert await client.get("string") == b"v" and await client.hgetall("hash") == {b"n": b"v"}
        assert await client.lrange("list", 0, -1) == [b"v"] and await client.smembers("set") == {b"n"}
        assert await client.zscore("zset", "n") == 2
        await browser.form("/keys/create", 404, type="stream", key="x")
        text = await browser.page("/keys/element?key=zset&type=zset&name=n")
        assert 'value="2"' in text
        assert "float" in await browser.confirmed(form_of(text, "/keys/put"), 502, score="many")
        await browser.confirmed(form_of(text, "/keys/put"), score="-1.25")
        assert await client.zscore("zset", "n") == -1.25
        await browser.confirmed(form_of(await browser.page("/keys/element?key=list&type=list&name=first"), "/keys/put"),
                                value="f")  # fmt: skip
        assert await client.lrange("list", 0, -1) == [b"f", b"v"]
        text = await browser.page("/keys/element?key=set&type=set&name=n")
        assert "/keys/put" not in text
        assert "It was removed." in await browser.confirmed(form_of(text, "/keys/remove"))
        text = await browser.page("/keys/element?key=string&type=string")
        await browser.confirmed(form_of(text, "/keys/put"), value="w")
        assert await client.get("string") == b"w"


async def test_a_read_only_console_changes_nothing(client: Client, server_url: str) -> None:
    await client.hset("hash", {"a": "1"})
    async with open_browser(server_url, Policy(read_only=True)) as browser:
        for path in ("/keys", "/keys/key?key=hash", "/keys/element?key=hash&type=hash&name=a", "/keys/new"):
            assert 'method="post"' not in await browser.page(path) and '/keys/new"' not in await browser.page(path)
        for action in ("put", "remove", "expire", "rename", "delete", "create"):
            response = await browser.post(f"/keys/{action}?key=hash", data={"csrf": browser.token, "confirmed": "yes"})
            assert response.status_code == 403 and "read-only" in response.text
        assert await client.hgetall("hash") == {b"a": b"1"}


async def test_forms_need_their_token(client: Client, server_url: str) -> None:
    await client.set("key", "x")
    async with open_browser(server_url) as browser:
        browser.token = "wrong"
        await browser.form("/keys/delete?key=key", 403, confirmed="yes")
        assert await client.exists(["key"])
