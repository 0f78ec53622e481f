"""Logging in and out."""

import logging
from urllib.parse import quote

import anyio
import coredis
import pytest

from consumers.console.access.policy import Login, Policy
from tests.consumers.console.consoles import open_browser

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


async def test_with_a_password(server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_browser(server_url, Policy(Login.PASSWORD, "se cret")) as browser:
        text = await browser.page("/clients?order=idle")
        assert "<h1>Log in</h1>" in text and 'name="name"' not in text and "<nav" not in text
        before = dict(browser.cookies)
        assert "wrong password" in await browser.form("/login", 401, password="x", after="/clients?order=idle")
        assert "Log in" in await browser.page("/")
        caplog.clear()
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            text = await browser.form("/login", password="se cret", after="/clients?order=idle")
        assert '<option value="idle" selected>' in text
        assert caplog.messages == ["user=- address=127.0.0.1 action=login"]
        assert dict(browser.cookies) != before
        assert "Log in" in await browser.form("/logout")
        assert "Log in" in await browser.page("/clients")


@pytest.mark.parametrize("policy", [Policy(Login.PASSWORD, "secret"), Policy(Login.SERVER)], ids=["password", "server"])
async def test_what_is_no_text_is_no_password(server_url: str, policy: Policy) -> None:
    async with open_browser(server_url, policy) as browser:
        await browser.page("/login")
        for fields in ("password=%FF", "name=%FF&password=x", "name=a%00b&password=x"):
            content = f"csrf={browser.token}&{fields}"
            headers = {"content-type": "application/x-www-form-urlencoded"}
            assert (await browser.post("/login", content=content, headers=headers)).status_code == 401


async def test_as_a_user_of_the_server(client: Client, server_url: str) -> None:
    await client.acl_setuser("console-viewer", "on", ">secret", "+info", "+ping")
    try:
        async with open_browser(server_url, Policy(Login.SERVER)) as browser:
            assert 'name="name"' in await browser.page("/")
            text = await browser.form("/login", 401, name='<b>"x', password="no")
            assert "wrong name or password" in text and 'value="&lt;b&gt;&#34;x"' in text
            text = await browser.form("/login", name="console-viewer", password="secret")
            assert "console-viewer</span>" in text
            # the server decides
            text = await browser.page("/clients", 403)
            assert "The server refuses this" in text and "client|list" in text
            # and when it throws the user out, the session has ended
            await client.acl_setuser("console-viewer", ">other", "<secret")
            await client.client_kill(user="console-viewer", skipme=True)
            with anyio.fail_after(60):
                # until the console has noticed that the connection is lost
                while (response := await browser.get("/", follow_redirects=True)).status_code == 503:
                    pass
            assert "<h1>Log in</h1>" in response.text
    finally:
        await client.acl_deluser(["console-viewer"])


@pytest.mark.parametrize("after", ["//evil.example/", "/\\evil.example", "http://evil.example", "evil", "/\n/evil", ""])
async def test_a_login_leads_nowhere_else(server_url: str, after: str) -> None:
    async with open_browser(server_url, Policy(Login.PASSWORD, "secret")) as browser:
        await browser.page(f"/login?after={quote(after)}")
        response = await browser.post("/login", data={"csrf": browser.token, "password": "secret", "after": after})
        assert response.headers["location"] == "/"
        response = await browser.get(f"/login?after={quote(after)}")
        assert response.headers["location"] == "/"
