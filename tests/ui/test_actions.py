"""Everything that the pages can do, by pressing their buttons: each asks first, does it, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import anyio
import coredis
import pytest
import redis

from consumers.jobs import JobFailed, Queue, Reject, Worker
from tests.ui.browser import Browser
from tests.ui.hostile import be_slow

QUEUE = "deeds & <b>misdeeds</b>"
PAGE = f"/queues/queue?library=consumers&name={quote(QUEUE, safe='')}"


@pytest.fixture
def queue(server: str) -> Iterator[None]:
    """A queue with a dead job and two that wait."""
    anyio.run(_fill, server)
    yield
    with redis.Redis.from_url(server) as client:
        client.delete(*client.scan_iter("jobs:{deeds*"))


async def _fill(url: str) -> None:
    async with coredis.Redis.from_url(url) as client, Queue(QUEUE).open(client) as queue:

        @queue.job()
        async def deed(text: str) -> None:
            raise Reject(text)

        failing = await deed.enqueue("fails")
        async with Worker(queue).open():
            with pytest.raises(JobFailed):
                await failing.result(timeout=30)
        await deed.enqueue("first")
        await deed.enqueue("second")


def answered(browser: Browser, question: str) -> str:
    """Confirm what the page asks, and return what it then says that was done."""
    assert browser.find("h1").text.startswith(question)
    browser.press(browser.find("#confirm"))
    return browser.find("#notice").text


def jobs(browser: Browser, state: str) -> list[str]:
    browser.open(f"{PAGE}&state={state}")
    return [one.text for one in browser.every("#jobs tbody th")]


def test_a_queue_is_paused_and_resumed(browser: Browser, queue: None) -> None:
    browser.open(PAGE)
    browser.press(browser.button("Pause"))
    assert answered(browser, f"Pause the queue {QUEUE}?")
    assert "paused" in browser.find("h1").text
    browser.press(browser.button("Resume"))
    assert answered(browser, f"Resume the queue {QUEUE}?")
    assert "paused" not in browser.find("h1").text
    assert browser.problems() == []


def test_who_does_not_mean_it_goes_back(browser: Browser, queue: None, axe: None) -> None:
    browser.open(PAGE)
    browser.press(browser.button("Pause"))
    assert browser.barriers() == []
    browser.press(browser.find("#back"))
    assert browser.path.startswith("/queues/queue?") and "paused" not in browser.find("h1").text
    assert browser.every("#notice") == []


def test_a_job_is_deleted(browser: Browser, queue: None) -> None:
    assert [one.partition("(")[2] for one in jobs(browser, "waiting")] == ['text="first")', 'text="second")']
    browser.press(browser.find("#jobs tbody a"))
    assert "first" in browser.text
    browser.press(browser.button("Delete"))
    assert answered(browser, "Delete the job ")
    assert [one.partition("(")[2] for one in jobs(browser, "waiting")] == ['text="second")']


def test_dead_jobs_are_redriven(browser: Browser, queue: None) -> None:
    assert len(jobs(browser, "dead")) == 1
    browser.press(browser.button("Redrive all dead"))
    assert answered(browser, f"Redrive all dead jobs of {QUEUE}?")
    assert jobs(browser, "dead") == []
    assert len(jobs(browser, "waiting")) == 3


def test_waiting_jobs_are_purged(browser: Browser, queue: None) -> None:
    assert len(jobs(browser, "waiting")) == 2
    browser.press(browser.button("Purge all waiting"))
    assert answered(browser, f"Purge all waiting jobs of {QUEUE}?")
    assert jobs(browser, "waiting") == []


def test_a_connection_is_ended(browser: Browser, server: str) -> None:
    with redis.Redis.from_url(server, client_name="victim") as victim:
        identifier = victim.client_id()
        browser.open("/clients?search=victim")
        assert browser.find("#count").text.startswith("1 of 1 shown")
        browser.press(browser.button("End"))
        notice = answered(browser, f"End the connection of client {identifier}?")
        assert notice == f"The connection of client {identifier} was ended."
        assert victim.client_id() != identifier
    assert browser.problems() == []


def test_the_slow_log_is_cleared(browser: Browser, client: redis.Redis) -> None:
    be_slow(client)
    # on a busy machine any command may be slow
    client.config_set("slowlog-log-slower-than", -1)
    browser.open("/slow-log")
    assert browser.every("#slow code") and browser.every("#spikes")
    browser.press(browser.button("Forget"))
    assert answered(browser, "")
    assert browser.every("#spikes") == []
    browser.press(browser.button("Clear"))
    assert answered(browser, "") == "The slow log was cleared."
    assert browser.every("#slow code") == [] and client.slowlog_len() == 0
    be_slow(client)


def test_directives_are_set(browser: Browser, client: redis.Redis) -> None:
    browser.open("/configuration")
    browser.enter("/", "slowlog-max")
    assert browser.path == "/configuration?search=slowlog-max"
    browser.press(browser.find("#directives a"))
    browser.write("#value", "many")
    browser.press(browser.button("Set"))
    browser.press(browser.find("#confirm"))
    assert "slowlog-max-len" in browser.find("#error").text
    browser.write("#value", "321")
    browser.press(browser.button("Set"))
    assert answered(browser, "Set slowlog-max-len to “321”?") == "slowlog-max-len was set."
    assert client.config_get("slowlog-max-len") == {"slowlog-max-len": "321"}
    client.config_set("slowlog-max-len", 128)


def test_what_the_server_refuses_is_told(browser: Browser, axe: None) -> None:
    browser.open("/configuration")
    browser.press(browser.button("Write to the server's file"))
    assert browser.find("h1").text == "Write the configuration to the server's file?"
    browser.press(browser.find("#confirm"))
    assert "without a config file" in browser.find("#error").text
    assert browser.barriers() == []


def test_users_are_created_changed_and_deleted(browser: Browser, client: redis.Redis) -> None:
    browser.open("/users")
    browser.press(browser.find("#new-user"))
    browser.write("#name", "<b>alice</b>")
    browser.write("#rules", "on ~orders:* +@read")
    browser.write("#password", "open sesame")
    browser.press(browser.button("Create"))
    assert answered(browser, "")
    assert (client.acl_getuser("<b>alice</b>") or {})["keys"] == ["~orders:*"]
    browser.open(f"/users/user?name={quote('<b>alice</b>')}")
    assert browser.find("h1").text == "<b>alice</b>"
    browser.write("#rules", "nonsense")
    browser.press(browser.button("Change"))
    browser.press(browser.find("#confirm"))
    assert "nonsense" in browser.find("#error").text
    browser.open("/users")
    browser.press(browser.button("Write to the ACL file"))
    assert answered(browser, "")
    browser.open(f"/users/user?name={quote('<b>alice</b>')}")
    browser.press(browser.button("Delete"))
    assert answered(browser, "Delete the user <b>alice</b>, and end")
    assert "<b>alice</b>" not in client.acl_users()
