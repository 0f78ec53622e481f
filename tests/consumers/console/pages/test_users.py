"""The server's users."""

import logging

import coredis
import pytest
from coredis.exceptions import RedisError

from consumers.console.pages.users import _user
from tests.consumers.console.consoles import open_browser

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]
NAME = "console<b>ob"


async def test_a_user_is_created_changed_and_deleted(
    client: Client, server_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        async with open_browser(server_url) as browser:
            text = await browser.page("/users")
            assert '<span class="badge bad">no password</span>' in text and "acts as <strong>default</strong>" in text
            with caplog.at_level(logging.INFO, "consumers.console.audit"):
                text = await browser.confirmed(
                    "/users/change", name=NAME, rules="on +@read ~orders:*  (+set ~x)", password="se cret"
                )
            assert "The user console&lt;b&gt;ob was created." in text and NAME not in text
            assert (
                "<code>(%R~" not in text and "<code>~orders:*</code>" in text and "<code>(-@all +set ~x)</code>" in text
            )
            line = caplog.messages[-1]
            assert "action='create user'" in line and "+@read" in line and "cret" not in line
            async with coredis.Redis.from_url(server_url, username=NAME, password="se cret") as theirs:
                assert await theirs.get("orders:1") is None
                with pytest.raises(RedisError):
                    await theirs.incr("orders:1")
            text = await browser.page("/users")
            assert "<code>incr</code>" in text, "it is in the log of denials"
            address = "/users/user?name=console%3Cb%3Eob"
            assert "<dd>~orders:*</dd>" in await browser.page(address)
            await browser.confirmed("/users/change?name=console%3Cb%3Eob", rules="off")
            assert "<dd>off" in await browser.page(address)
            with caplog.at_level(logging.INFO, "consumers.console.audit"):
                text = await browser.confirmed("/users/delete?name=console%3Cb%3Eob")
            assert "The user console&lt;b&gt;ob was deleted." in text
            await browser.page(address, 404)
    finally:
        await client.acl_deluser([NAME])
        await client.acl_log(reset=True)


async def test_mistakes_are_told(client: Client, server_url: str) -> None:
    async with open_browser(server_url) as browser:
        assert "Name and rules are needed." in await browser.form("/users/change", 400, name="", rules="on")
        assert "Name and rules are needed." in await browser.form("/users/change", 400, name="x", rules=" ")
        text = await browser.confirmed("/users/change", 400, name="x", rules="+nosuchcommand")
        assert 'role="alert" id="error"' in text and "+nosuchcommand" in text
        await browser.form("/users/change?name=nosuch", 404, rules="on")
        await browser.form("/users/delete?name=nosuch", 404)
        assert "The server refuses this" in await browser.confirmed("/users/delete?name=default", 502)
        assert "The server refuses this" in await browser.confirmed("/users/save", 502)
        assert "x" not in await client.acl_users()


def test_rules_of_any_server_are_read() -> None:
    user = _user(b"a\xff", {
        b"flags": [b"on", b"nopass"], b"passwords": [], b"commands": b"+@all", b"keys": [b"*"], b"channels": [b"*"],
        b"selectors": [[b"commands", b"+get", b"keys", b"~x", b"channels", b""]],
    })  # fmt: skip
    assert (user.name, user.open, user.keys, user.selectors) == ("a\udcff", True, "*", ["+get ~x"])
