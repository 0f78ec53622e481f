"""Who may do what, as a browser sees it: logins, forms from elsewhere, the read-only console, the page's own policy."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import redis

from tests.ui.browser import Browser
from tests.ui.conftest import PASSWORD
from tests.ui.hostile import MARK
from tests.ui.sites import Sites

Visit = Callable[[str], Browser]


def test_one_password_for_all(visit: Visit) -> None:
    browser = visit("password")
    browser.open("/clients?search=nosuch")
    assert browser.path.startswith("/login?after=") and browser.every("nav") == []
    assert browser.focused.get_attribute("id") == "password"
    browser.enter("wrong")
    assert browser.find("#error").text and browser.path.startswith("/login")
    browser.write("#password", PASSWORD)
    browser.enter()
    assert browser.path == "/clients?search=nosuch" and "No client matches." in browser.text
    browser.press(browser.find("#logout"))
    assert browser.path == "/login"
    browser.open("/clients")
    assert browser.path.startswith("/login?after=")


def test_cookies_are_out_of_reach_for_scripts(visit: Visit) -> None:
    browser = visit("password")
    browser.open("/login")
    [cookie] = browser.driver.get_cookies()
    assert cookie["httpOnly"] is True and cookie["sameSite"] == "Strict"
    assert browser.run("return document.cookie") == ""


def test_a_login_with_another_sites_address_stays_here(visit: Visit) -> None:
    browser = visit("password")
    browser.open(f"/login?after={quote('//example.invalid/', safe='')}")
    browser.write("#password", PASSWORD)
    browser.enter()
    assert browser.path == "/"


def test_users_of_the_server_see_what_it_lets_them(visit: Visit, client: redis.Redis) -> None:
    client.acl_setuser("reader", enabled=True, passwords=["+open sesame"], keys=["*"], categories=["+@read"],
                       commands=["+client|list"])  # fmt: skip
    browser = visit("users")
    browser.open("/clients")
    browser.write("#name", "reader")
    browser.write("#password", "wrong")
    browser.enter()
    assert browser.find("#error").text and browser.find("#name").get_attribute("value") == "reader"
    browser.write("#password", "open sesame")
    browser.enter()
    assert browser.find(".user").text == "reader" and browser.every("#clients tbody tr")
    browser.open("/configuration")
    assert "The server refuses this" in browser.find("#error").text
    client.acl_deluser("reader")


def test_a_form_without_the_sessions_token_is_refused(browser: Browser, client: redis.Redis) -> None:
    before = client.acl_list()
    browser.open("/users/user")
    browser.write("#name", "intruder")
    browser.run("document.querySelector('main [name=csrf]').value = 'forged'")
    browser.press(browser.button("Create"))
    assert browser.find("h1").text == "Error 403" and "too old, or not from this console" in browser.text
    assert client.acl_list() == before


def test_a_form_from_another_site_is_refused(browser: Browser, client: redis.Redis) -> None:
    before = client.acl_list()
    browser.open("/users/user")
    token = browser.find("main [name=csrf]").get_attribute("value")
    action = f"{browser.base}/users/change"
    fields = "".join(
        f'<input name="{name}" value="{value}">'
        for name, value in (("csrf", token), ("name", "intruder"), ("confirmed", "yes"))
    )
    form = f'<form method="post" action="{action}">{fields}<button>Win</button></form>'
    browser.driver.get(f"data:text/html,{quote(form)}")
    browser.press(browser.button("Win", "body"))
    assert browser.find("body").text == "This request comes from another site."
    assert client.acl_list() == before


def test_nothing_can_be_done_where_it_is_read_only(visit: Visit, client: redis.Redis, sites: Sites) -> None:
    browser = visit("read-only")
    for path in ("/clients", "/slow-log", "/configuration", "/users"):
        browser.open(path)
        assert browser.every("form[method=post]") == [] and browser.find(".badge").text == "read-only"
    answer = browser.driver.execute_async_script(
        "fetch('/slow-log/clear', {method: 'POST', body: new URLSearchParams({confirmed: 'yes'})})"
        ".then(async (response) => arguments[0]([response.status, await response.text()]))"
    )
    assert answer == [403, "This console is read-only.\n"]
    assert client.slowlog_len() > 0


def test_scripts_that_get_into_a_page_do_not_run(browser: Browser) -> None:
    browser.open("/clients")
    browser.run(
        f"const script = document.createElement('script'); script.textContent = '{MARK} = 1';"
        "const image = document.createElement('img'); image.src = 'http://127.0.0.1:9/elsewhere.png';"
        f"image.setAttribute('onerror', '{MARK} = 1');"
        "document.querySelector('main').append(script, image)"
    )
    problems = browser.until(lambda: browser.problems(), "the browser complains")
    assert any("Content Security Policy" in one for one in problems)
    assert browser.run(f"return typeof {MARK}") == "undefined"
