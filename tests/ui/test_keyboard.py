"""Without a mouse, and in the theme that one likes."""

from __future__ import annotations

import redis
from selenium.webdriver.common.keys import Keys

from tests.ui.browser import WIDE, Browser
from tests.ui.hostile import be_slow

FOCUS = """
const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
return [one === document.body,
  style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
  box.width > 0 && box.height > 0 && box.right > 0 && box.left < innerWidth && box.top < innerHeight && box.bottom > 0,
  [...document.querySelectorAll("*")].indexOf(one)];
"""


def test_the_focus_goes_through_the_page_in_order_and_is_seen(browser: Browser) -> None:
    browser.open("/clients")
    order: list[int] = []
    controls = len(browser.every("a[href], button, input:not([type=hidden]), select, [tabindex='0'], summary"))
    assert controls > 12
    for _ in range(min(controls, 25)):
        browser.keys(Keys.TAB)
        nowhere, outlined, visible, place = browser.run(FOCUS)
        assert not nowhere and outlined and visible, browser.focused.get_attribute("outerHTML")
        order.append(place)
    assert order == sorted(set(order))


def test_the_skip_link_leads_to_the_content(browser: Browser) -> None:
    browser.open("/")
    browser.keys(Keys.TAB)
    assert browser.focused.text == "Skip to the content"
    browser.keys(Keys.ENTER)
    assert browser.focused.get_attribute("id") == "content"
    browser.keys(Keys.TAB)
    assert browser.run("return document.querySelector('main').contains(document.activeElement)")


def test_a_slash_leads_to_the_search(browser: Browser) -> None:
    browser.open("/queues")
    browser.keys("/")
    assert browser.focused.get_attribute("id") == "search"
    browser.keys("a/b")
    assert browser.focused.get_attribute("value") == "a/b"


def test_a_question_is_answered_by_keyboard(browser: Browser, client: redis.Redis) -> None:
    browser.open("/slow-log")
    browser.run("arguments[0].focus()", browser.button("Clear"))
    browser.enter()
    assert browser.focused.get_attribute("id") == "back"
    # pressed once too often, it does no harm
    browser.enter()
    assert browser.path == "/slow-log" and browser.every("#slow code") and not browser.every("#notice")
    browser.run("arguments[0].focus()", browser.button("Clear"))
    browser.enter()
    browser.keys(Keys.TAB)
    assert browser.focused.get_attribute("id") == "confirm"
    browser.enter()
    assert browser.find("#notice").text == "The slow log was cleared." and client.slowlog_len() == 0
    be_slow(client)


def background(browser: Browser) -> str:
    found: str = browser.run("return getComputedStyle(document.body).backgroundColor")
    return found


def test_the_theme_is_the_systems_until_one_is_chosen(browser: Browser) -> None:
    browser.open("/users")
    light = background(browser)
    browser.look(dark=True)
    dark = background(browser)
    assert dark != light and browser.run("return document.documentElement.dataset.theme") is None
    browser.find("#theme").send_keys(Keys.SPACE)
    assert background(browser) == light
    browser.open("/clients")
    assert background(browser) == light
    browser.find("#theme").send_keys(Keys.ENTER)
    browser.look(dark=False)
    assert background(browser) == dark
    browser.open("/users")
    assert background(browser) == dark
    assert browser.run("return getComputedStyle(document.documentElement).colorScheme") == "dark"


def test_large_text_stays_readable(browser: Browser) -> None:
    browser.look(dark=False, size=(WIDE[0] // 4, WIDE[1] // 4))
    browser.open("/slow-log")
    assert browser.run("return document.documentElement.scrollWidth") <= WIDE[0] // 4
