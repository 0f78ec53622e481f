"""Every page: it opens without an error, shows hostile data as text, and everybody can use it.

Each is loaded once, and looked at by several tests.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest
import redis

from consumers.console.app import PAGES
from tests.ui.browser import NARROW, WIDE, Browser
from tests.ui.hostile import MARK, NAME, WORD
from tests.ui.sites import Sites

KEY = quote(NAME, safe="")
STREAM = f"/streams/stream?key=stream%20{KEY}"
QUEUE = f"/queues/queue?library=consumers&name={quote(NAME, safe='')}&state="

FURTHER = {
    "a queue": f"{QUEUE}waiting",
    "dead jobs": f"{QUEUE}dead",
    "a job": f"{QUEUE}dead>/queues/job?",
    "a job of another library": f"/queues/queue?library=rq&name={quote(NAME, safe='')}>/queues/job?",
    "a workflow": f"/workflows/workflow?queue={KEY}&id=hostile%3Ci%3E",
    "a stream": STREAM,
    "an entry": f"{STREAM}>/streams/entry?",
    "a group": f"{STREAM}>/streams/group?",
    "a stream with partitions": f"/streams/partitions?stream=divided%20{quote(WORD, safe='')}",
    "a new group": f"/streams/new-group?key=stream%20{KEY}",
    "a pending entry": f"/streams/group?key=stream%20{KEY}&group={KEY}>/streams/pending?",
    "a new entry": f"/streams/new-entry?key=stream%20{KEY}",
    "a channel": f"/channels/channel?kind=channel&name={KEY}",
    "a string": f"/keys/key?key=string%20{KEY}",
    "a hash": f"/keys/key?key=hash%20{KEY}",
    "a sorted set": f"/keys/key?key=sorted%20{KEY}",
    "a string's value": f"/keys/element?key=string%20{KEY}&type=string",
    "a field": f"/keys/element?key=hash%20{KEY}&type=hash&name={KEY}",
    "a member": f"/keys/element?key=set%20{KEY}&type=set&name={KEY}",
    "a new member": f"/keys/element?key=sorted%20{KEY}&type=zset",
    "a new key": "/keys/new",
    "a directive": "/configuration/directive?name=maxmemory",
    "a user": f"/users/user?name={quote(WORD, safe='')}",
    "a new user": "/users/user",
    "the login": "password:/login",
    "the users' login": "users:/login",
    "read-only": "read-only:/users",
}
"""Pages below those of the navigation: [CONSOLE:]PATH[>BEGINNING of a link there]."""

TEXTS = {
    "/queues": NAME, "/clients": WORD, "/slow-log": "<script>", "/users": WORD, "a queue": NAME, "dead jobs": NAME,
    "a job": NAME, "a job of another library": NAME, "a user": WORD, "/keys": NAME, "a stream": NAME, "an entry": NAME,
    "a group": NAME, "a pending entry": NAME, "a channel": NAME, "a string": NAME, "a hash": NAME, "a sorted set": NAME,
    "a field": NAME, "a member": NAME, "a workflow": WORD, "a stream with partitions": WORD,
}  # fmt: skip
"""What stands on a page, literally."""


@pytest.fixture(scope="module", params=[*(page.path for page in PAGES), *FURTHER])
def page(request: pytest.FixtureRequest, _browser: Browser, sites: Sites, named: None) -> Iterator[str]:
    """The name of a page, which is open."""
    name: str = request.param
    site, colon, address = FURTHER.get(name, name).partition(":")
    if not colon or site not in sites.addresses:
        site, address = "open", FURTHER.get(name, name)
    _browser.renew(sites.addresses[site])
    path, linked, beginning = address.partition(">")
    if linked:
        text = httpx.get(_browser.base + path).text
        path = next(one for one in map(html.unescape, re.findall('href="([^"]*)"', text)) if one.startswith(beginning))
    _browser.open(path)
    yield name
    _browser.driver.get("about:blank")


@pytest.fixture(scope="module")
def named(server: str) -> Iterator[None]:
    """A connection with a hostile name."""
    with redis.Redis.from_url(server, client_name=WORD) as client:
        client.ping()
        yield


@pytest.fixture(autouse=True)
def _light(_browser: Browser) -> Iterator[None]:
    yield
    _browser.look(dark=False, size=WIDE)


def test_it_opens_without_errors(page: str, _browser: Browser, server: str) -> None:
    assert _browser.problems() == []
    assert len(_browser.every("main h1")) == 1 and _browser.driver.title.endswith(f" · {server}")
    assert _browser.find(".place").text == server
    current = [one.get_attribute("href") for one in _browser.every("[aria-current=page]")]
    if page.startswith("/"):
        assert current == [_browser.base + page]


def test_what_clients_sent_is_text(page: str, _browser: Browser) -> None:
    if page in TEXTS:
        assert TEXTS[page] in _browser.text
    assert _browser.run(f"return typeof {MARK}") == "undefined"
    assert _browser.every("main script, main img, main svg:not([role]), main [onerror], main [onload], main i") == []
    assert "7006652" not in _browser.driver.page_source, "a template was rendered from data"
    controls = re.findall("[\x00-\x08\x0b-\x1f\u202e\u2028]", _browser.run("return document.body.textContent"))
    assert controls == []


def test_there_are_no_barriers(page: str, _browser: Browser, axe: None) -> None:
    assert _browser.barriers() == []


def test_there_are_no_barriers_in_the_dark(page: str, _browser: Browser, axe: None) -> None:
    before = _background(_browser)
    _browser.look(dark=True)
    assert _background(_browser) != before
    assert _browser.barriers("color-contrast", "link-in-text-block") == []


def _background(browser: Browser) -> str:
    found: str = browser.run("return getComputedStyle(document.body).backgroundColor")
    return found


def test_it_fits_a_phone(page: str, _browser: Browser) -> None:
    _browser.look(dark=False, size=NARROW)
    wide = _browser.run(
        "const room = document.documentElement.clientWidth;"
        "return [room, document.documentElement.scrollWidth,"
        " ...[...document.body.querySelectorAll('*')]"
        "  .filter((one) => !one.closest('.scrolls, .skip, pre'))"
        "  .filter((one) => one.getBoundingClientRect().right > room + 1)"
        "  .slice(0, 5).map((one) => one.outerHTML.slice(0, 120))]"
    )
    assert wide == [NARROW[0], NARROW[0]]


def test_everything_can_be_reached_by_keyboard(page: str, _browser: Browser) -> None:
    unreachable = _browser.run(
        "const scrolls = [...document.querySelectorAll('.scrolls')].filter((one) => one.tabIndex !== 0);"
        "const odd = [...document.querySelectorAll('[tabindex]')].filter((one) => one.tabIndex > 0);"
        "const fields = [...document.querySelectorAll('input:not([type=hidden]), select, textarea')]"
        "  .filter((one) => one.labels.length === 0);"
        "return [...scrolls, ...odd, ...fields].map((one) => one.outerHTML.slice(0, 120))"
    )
    assert unreachable == []
