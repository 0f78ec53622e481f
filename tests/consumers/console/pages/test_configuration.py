"""The configuration."""

import logging

import coredis
import pytest

from tests.consumers.console.consoles import open_browser

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


async def test_directives_are_found_and_set(client: Client, server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    before = (await client.config_get(["hash-max-listpack-entries"]))[b"hash-max-listpack-entries"].decode()
    try:
        async with open_browser(server_url) as browser:
            text = await browser.page("/configuration?search=HASH-MAX-LISTPACK")
            assert "/configuration/directive?name=hash-max-listpack-entries" in text and "maxmemory-policy" not in text
            text = await browser.page("/configuration/directive?name=hash-max-listpack-entries")
            assert f'name="value" value="{before}"' in text
            path = "/configuration/set?name=hash-max-listpack-entries"
            asked = await browser.form(path, value="77")
            assert "Set hash-max-listpack-entries to “77”?" in asked
            with caplog.at_level(logging.INFO, "consumers.console.audit"):
                text = await browser.confirmed(path, value="77")
            assert "hash-max-listpack-entries was set." in text
            assert "action='set directive' name=hash-max-listpack-entries value=77" in caplog.messages[-1]
            assert (await client.config_get(["hash-max-listpack-entries"])) == {b"hash-max-listpack-entries": b"77"}
            text = await browser.confirmed(path, 400, value="<many>")
            assert 'role="alert" id="error"' in text and "<many>" not in text
    finally:
        await client.config_set({"hash-max-listpack-entries": before})


async def test_passwords_are_not_shown(client: Client, server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    try:
        await client.config_set({"masterauth": "top-secret"})
        async with open_browser(server_url) as browser:
            for path in (
                "/configuration",
                "/configuration?search=top-secret",
                "/configuration/directive?name=masterauth",
            ):
                text = await browser.page(path)
                assert "masterauth" not in text if "search" in path else "masterauth" in text
                assert text.count("top-secret") == path.count("top-secret")
            asked = await browser.form("/configuration/set?name=masterauth", value="new-secret")
            assert "Set masterauth to a new value?" in asked
            with caplog.at_level(logging.INFO, "consumers.console.audit"):
                await browser.confirmed("/configuration/set?name=masterauth", value="new-secret")
            assert "name=masterauth" in caplog.messages[-1] and "new-secret" not in caplog.messages[-1]
            assert (await client.config_get(["masterauth"])) == {b"masterauth": b"new-secret"}
    finally:
        await client.config_set({"masterauth": ""})


async def test_mistakes_are_refused(server_url: str) -> None:
    async with open_browser(server_url) as browser:
        for name in ("nosuch", "*", "max*", "", "a%20b"):
            await browser.page(f"/configuration/directive?name={name}", 404)
            await browser.form(f"/configuration/set?name={name}", 404, value="1")
        # without a file there is nothing to write to
        assert "The server refuses this" in await browser.confirmed("/configuration/write", 502)
