"""Policies, changed on the pages of groups and streams."""

import logging
import re

import coredis
import pytest

from consumers.addresses import with_credentials
from consumers.console.access.policy import Policy
from consumers.console.asking import ask, pairs
from tests.consumers.console.consoles import Browser, open_browser
from tests.consumers.console.pages.test_addressed import ADDRESS, HOSTILE

pytestmark = [pytest.mark.both_loops, pytest.mark.parametrize("server_kind", ["broker-extended"], indirect=True)]

Client = coredis.Redis[bytes]
GROUP = f"/streams/group?{ADDRESS}&group=%3Cg%3E%FF"
CHANGE_GROUP = GROUP.replace("/group?", "/group-policy?")
STREAM = f"/streams/stream?{ADDRESS}"
CHANGE_STREAM = STREAM.replace("/stream?", "/policy?")


async def grouped(client: Client) -> None:
    await client.xgroup_create(HOSTILE, b"<g>\xff", "0", mkstream=True)


async def shown(browser: Browser, page: str) -> dict[str, str]:
    """The hidden fields that say what the form on a page shows."""
    return dict(re.findall(r'name="(shown-[\w-]+)" value="([^"]*)"', await browser.page(page)))


async def policy(client: Client) -> dict[bytes, object]:
    (reply,) = await ask(client, [(b"XGROUP", b"CFGGET", HOSTILE, b"<g>\xff")])
    return dict(pairs(reply))


async def test_a_groups_policy_is_changed(client: Client, server_url: str, caplog: pytest.LogCaptureFixture) -> None:
    await grouped(client)
    async with open_browser(server_url) as browser:
        before = await shown(browser, GROUP)
        assert before["shown-ack-wait"] == "" and before["shown-notation"] == "text"
        fields = {"ack-wait": "1000", "max-deliver": "3", "dead-letter": "<dead>", "order-by": "customer"}
        asked = await browser.form(CHANGE_GROUP, **before, **fields)
        assert "Change the policy of the group" in asked and "Ack wait: 1000." in asked
        assert "Dead letters go to: &lt;dead&gt;." in asked and "max-inflight" not in asked.split("<form")[0]
        with caplog.at_level(logging.INFO, "consumers.console.audit"):
            text = await browser.confirmed(CHANGE_GROUP, **before, **fields)
        assert "The policy was changed." in text and "action='change policy'" in caplog.messages[-1]
        assert "ACKWAIT=1000 MAXDELIVER=3" in caplog.messages[-1]
        assert "<dt>max-deliver</dt><dd>3</dd>" in text and 'name="dead-letter" value="&lt;dead&gt;"' in text
        # what somebody else changes meanwhile stays
        before = await shown(browser, GROUP)
        await browser.confirmed(CHANGE_GROUP, **{**before, "shown-ack-wait": "7"}, **{**fields, "ack-wait": "7",
                                "max-deliver": ""})  # fmt: skip
        assert "<dt>ack-wait</dt><dd>1000</dd><" in (text := re.sub(r">\s+<", "><", await browser.page(GROUP)))
        assert "<dt>max-deliver</dt><dd>0</dd>" in text


async def test_what_the_server_refuses_is_shown_with_what_was_typed(client: Client, server_url: str) -> None:
    await grouped(client)
    async with open_browser(server_url) as browser:
        before = await shown(browser, GROUP)
        for field, typed, text in (
            ("ack-wait", "soon<i>", "value is not an integer or out of range"),
            ("max-deliver", "-1", "MAXDELIVER must be zero or a positive integer"),
            ("backoff", "5 0", "the waits of BACKOFF must be positive"),
            ("order-by", "\x07", "use hexadecimal digits"),
        ):
            fields = {"max-inflight": "77", field: typed}
            if typed == "\x07":
                answer = await browser.form(CHANGE_GROUP, 400, **before, **fields)
            else:
                answer = await browser.confirmed(CHANGE_GROUP, 400, **before, **fields)
            assert text in answer and 'role="alert" id="error" tabindex="-1" autofocus' in answer
            assert 'name="max-inflight" value="77"' in answer and "<details open" in answer and "soon<i>" not in answer
        assert "Nothing was changed." in await browser.form(CHANGE_GROUP, 400, **before)
        assert "There is no such group." in await browser.form(f"{CHANGE_GROUP}x", 404, **before)
    assert (await policy(client))[b"ack-wait"] == 0


async def test_a_streams_policy_removes_what_exceeds_it(client: Client, server_url: str) -> None:
    for number in range(1, 6):
        await client.xadd(HOSTILE, {"a": "b"}, identifier=f"{number}-1")
    async with open_browser(server_url) as browser:
        before = await shown(browser, STREAM)
        assert before["shown-retain"] == "limits" and before["shown-channels"] == ""
        fields = {"max-len": "2", "retain": "interest", "discard": "new", "channels": "news.*\r\n<b>"}
        asked = await browser.form(CHANGE_STREAM, **before, **fields)
        assert "What the stream may not hold any more is removed at once." in asked
        text = await browser.confirmed(CHANGE_STREAM, **before, **fields)
        assert "The policy was changed." in text and await client.xlen(HOSTILE) == 2
        assert "<option selected>interest</option>" in text and "\nnews.*\n&lt;b&gt;</textarea>" in text
        assert await client.publish("news.world", "x") == 1
        before = await shown(browser, STREAM)
        answer = await browser.confirmed(CHANGE_STREAM, 400, **before, **{**fields, "max-bytes": "few"})
        assert "value is not an integer" in answer and 'name="max-bytes" value="few"' in answer
        assert "<option selected>interest</option>" in answer


async def test_who_may_not_is_told(client: Client, server_url: str) -> None:
    await grouped(client)
    rules = "on >secret ~* +@read +@connection +info +command -xgroup|cfgget"
    await client.acl_setuser("reader", *rules.split())
    async with open_browser(with_credentials(server_url, "reader", "secret")) as browser:
        text = await browser.page(GROUP)
        assert "The policy can't be read" in text and "cfgget" in text
        answer = await browser.confirmed(CHANGE_STREAM, 403, **await shown(browser, STREAM), **{"max-len": "5"})
        assert "no permissions" in answer and 'name="max-len" value="5"' in answer
    await client.acl_deluser(["reader"])


async def test_a_read_only_console_has_no_form(client: Client, server_url: str) -> None:
    await grouped(client)
    async with open_browser(server_url, Policy(read_only=True)) as browser:
        for page, change in ((GROUP, CHANGE_GROUP), (STREAM, CHANGE_STREAM)):
            assert 'method="post"' not in await browser.page(page)
            response = await browser.post(change, data={"confirmed": "yes"})
            assert response.status_code == 403 and "read-only" in response.text
    assert (await policy(client))[b"ack-wait"] == 0
