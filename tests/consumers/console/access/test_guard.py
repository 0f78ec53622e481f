"""What every request passes: on one server, since it is asked nothing here."""

import base64
import logging
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from consumers.console.access.policy import Login, Policy
from tests.consumers.console.consoles import Browser, open_browser, open_console
from tests.consumers.servers import in_process_broker


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with in_process_broker() as url:
        yield url


async def test_headers_forbid_what_pages_do_not_need(url: str) -> None:
    async with open_browser(url) as browser:
        for path in ("/", "/nosuch", "/static/console.css", "/login"):
            headers = (await browser.get(path)).headers
            assert headers["content-security-policy"].startswith("default-src 'self'; base-uri 'none'")
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff"
        assert (await browser.get("/")).headers["cache-control"] == "no-store"


async def test_cookies_are_for_this_console_only(url: str) -> None:
    async with open_console(url) as app, Browser(app) as browser:
        cookie = (await browser.get("/")).headers["set-cookie"]
        assert cookie.startswith("trimaran-8379=")
        assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
        assert "set-cookie" not in (await browser.get("/")).headers


async def test_a_rebound_name_is_refused(url: str) -> None:
    async with open_console(url, Policy(hosts=frozenset({"console.example"}))) as app:
        for host, status in (("evil.example", 421), ("console.example", 200), ("localhost:1", 200), ("[::1]:1", 200)):
            async with Browser(app, host) as browser:
                assert (await browser.get("/")).status_code == status


async def test_forms_of_other_sites_are_refused(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_browser(url) as browser:
        for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"},
                        {"sec-fetch-site": "same-site"}):  # fmt: skip
            with caplog.at_level(logging.INFO, "consumers.console.audit"):
                response = await browser.post("/clients/end?id=1", data={"csrf": browser.token}, headers=headers)
            assert response.status_code == 403 and "another site" in response.text
            assert "action='refused: another origin' path=/clients/end" in caplog.messages[-1]
        own = {"origin": "http://127.0.0.1:8379", "sec-fetch-site": "same-origin"}
        response = await browser.post("/clients/end?id=1", data={"csrf": browser.token}, headers=own)
        assert response.status_code == 200


async def test_nothing_is_shown_before_the_login(url: str) -> None:
    async with open_console(url, Policy(Login.PASSWORD, "secret")) as app, Browser(app) as browser:
        for route in app.routes:
            if route.path in ("/login", "/health", "/ready", "/static"):
                continue
            for method in route.methods or ():
                response = await browser.request(method, route.path, headers={"accept": "*/*"})
                assert response.status_code == 401, route.path
        response = await browser.get("/clients?search=a%20b")
        assert response.status_code == 303
        assert response.headers["location"] == "/login?after=%2Fclients%3Fsearch%3Da%2520b"


async def test_programs_log_in_with_each_request(url: str) -> None:
    async with open_console(url, Policy(Login.PASSWORD, "secret")) as app, Browser(app) as browser:
        for credentials, status in (("x:wrong", 401), ("x", 401), ("x:secret", 200)):
            encoded = base64.b64encode(credentials.encode()).decode()
            response = await browser.get("/metrics", headers={"authorization": f"Basic {encoded}"})
            assert response.status_code == status, credentials
        assert (await browser.get("/metrics", headers={"authorization": "Basic !"})).status_code == 401
        encoded = base64.b64encode(b"x:secret").decode()
        assert (await browser.get("/clients", headers={"authorization": f"Basic {encoded}"})).status_code == 303


async def test_a_read_only_console_takes_no_form(url: str) -> None:
    async with open_browser(url, Policy(read_only=True)) as browser:
        app = browser.app
        for route in app.routes:
            if "POST" in (getattr(route, "methods", None) or ()) and route.path not in ("/login", "/logout"):
                response = await browser.post(route.path, data={"csrf": browser.token, "confirmed": "yes"})
                assert response.status_code == 403 and "read-only" in response.text, route.path
        assert '<button class="danger' not in await browser.page("/clients")


async def test_only_a_trusted_proxy_is_believed(url: str) -> None:
    forwarded = {"x-forwarded-for": "10.0.0.1, 192.0.2.7", "x-forwarded-proto": "https"}
    policy = Policy(Login.PASSWORD, "secret", proxy="192.0.2.99")
    async with open_console(url, policy) as app:
        async with Browser(app, address="192.0.2.99") as browser:
            assert "; Secure" in (await browser.get("/login", headers=forwarded)).headers["set-cookie"]
        async with Browser(app, address="192.0.2.98") as browser:
            assert "; Secure" not in (await browser.get("/login", headers=forwarded)).headers["set-cookie"]


async def test_there_are_no_websockets(url: str) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("nothing is received")

    async def send(message: Message) -> None:
        sent.append(message)

    async with open_console(url) as app:
        await app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
