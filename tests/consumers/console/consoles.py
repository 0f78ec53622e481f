"""A console inside the test's own program, and a browser without a port."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from consumers.addresses import client_from_url, with_credentials, without_password
from consumers.connecting import Client
from consumers.console.access.policy import Login, Policy
from consumers.console.app import Console, application
from consumers.console.metrics.settings import Settings

__all__ = ["Browser", "open_browser", "open_console"]

HOST = "127.0.0.1:8379"
CSRF = re.compile(r'name="csrf" value="(\w+)"')


class Browser(httpx.AsyncClient):
    """Keeps cookies, and sends forms with the token of the page that it has seen last."""

    def __init__(self, app: Any, host: str = HOST, address: str = "127.0.0.1") -> None:
        transport = httpx.ASGITransport(app, client=(address, 50000), raise_app_exceptions=False)
        super().__init__(transport=transport, base_url=f"http://{host}", headers={"accept": "text/html"})
        self.app = app
        self.console: Console = app.state.console
        self.token = ""

    async def page(self, path: str, status: int = 200) -> str:
        """Return a page's text, after redirections."""
        response = await self.get(path, follow_redirects=True)
        assert response.status_code == status, response.text
        self._see(response.text)
        return response.text

    async def form(self, path: str, status: int = 200, **fields: str) -> str:
        """Send a form, and return the text of the page to which that leads."""
        response = await self.post(path, data={"csrf": self.token, **fields}, follow_redirects=True)
        assert response.status_code == status, response.text
        self._see(response.text)
        return response.text

    async def confirmed(self, path: str, status: int = 200, **fields: str) -> str:
        """Send a form, see the question, confirm it, and return the text of the page to which that leads."""
        asked = await self.form(path, **fields)
        assert 'name="confirmed" value="yes"' in asked
        return await self.form(path, status, confirmed="yes", **fields)

    def _see(self, text: str) -> None:
        if found := CSRF.search(text):
            self.token = found[1]


@asynccontextmanager
async def open_console(url: str, policy: Policy | None = None, push: Settings | None = None) -> AsyncIterator[Any]:
    """The running application of a console of the server at this URL; `state.console` is the console."""

    def connect(user: str | None, password: str | None) -> Client:
        return client_from_url(url if user is None else with_credentials(url, user, password or ""))

    console = Console(policy or Policy(), without_password(url), connect, push=push)
    app = application(console)
    async with console.running():
        yield app


@asynccontextmanager
async def open_browser(url: str, policy: Policy | None = None) -> AsyncIterator[Browser]:
    """A browser of a console of the server at this URL; it has opened a page with forms, unless it must log in."""
    async with open_console(url, policy) as app, Browser(app) as browser:
        if policy is None or policy.login is Login.NONE:
            await browser.page("/clients")
        yield browser
