"""Chromium without a window, with the few words that the tests of the console need."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from selenium import webdriver
from selenium.common.exceptions import JavascriptException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

__all__ = ["NARROW", "WIDE", "Browser", "axe_source", "missing"]

PATIENCE = 60
"""Seconds until what should appear is given up."""

WIDE, NARROW = (1280, 800), (360, 740)

AXE = "axe-core@4.14"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

T = TypeVar("T")


def missing() -> str | None:
    """Why there is no browser here; None if there is one."""
    if shutil.which("chromium") is None:
        return "no chromium"
    return "no chromedriver" if shutil.which("chromedriver") is None else None


def axe_source() -> str | None:
    """The program that looks for barriers in a page, kept in the user's cache folder; None if it can't be had."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trimaran" / "axe"
    file = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not file.exists():
        npm = shutil.which("npm")
        if npm is None:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(folder), AXE]
        if subprocess.run(command, capture_output=True, timeout=120).returncode:
            return None
    return file.read_text()


class Browser:
    """One window. axe: see axe_source. `base` is the address of the console whose pages are opened."""

    def __init__(self, axe: str | None) -> None:
        options = Options()
        options.binary_location = shutil.which("chromium") or ""
        for word in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"):
            options.add_argument(word)
        # nothing but the console is asked for anything
        options.add_argument("--disable-background-networking")
        options.add_argument("--disable-component-update")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        # naming the driver keeps Selenium from looking for one in the net
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.driver.set_page_load_timeout(PATIENCE)
        self.base = ""
        self._axe = axe

    def close(self) -> None:
        self.driver.quit()

    def renew(self, base: str) -> None:
        """Forget what was logged, and be as for a new visitor of a console."""
        self.base = base
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.driver.execute_cdp_cmd("Storage.clearDataForOrigin", {"origin": base, "storageTypes": "all"})
        self.look(dark=False, size=WIDE)
        self.problems()

    def look(self, *, dark: bool, size: tuple[int, int] = WIDE) -> None:
        """Be a system that prefers a theme, with a screen of this size in pixels."""
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            # colours that are on their way from one to another have no contrast that counts
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600},
        )

    # Pages.

    def open(self, path: str) -> None:
        self.driver.get(self.base + path)

    @property
    def path(self) -> str:
        return self.driver.current_url.removeprefix(self.base)

    @property
    def text(self) -> str:
        """What a reader sees of the page's content."""
        return self.find("main").text

    def find(self, css: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def every(self, css: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def button(self, text: str, inside: str = "main") -> WebElement:
        """The one button with this text."""
        [found] = [one for one in self.every(f"{inside} button") if one.text == text]
        return found

    def write(self, css: str, text: str) -> None:
        field = self.find(css)
        field.clear()
        field.send_keys(text)

    def keys(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    def press(self, button: WebElement) -> None:
        """Press a button or a link, and wait for the page to which it leads."""
        with self._leaving():
            button.click()

    def enter(self, *keys: str) -> None:
        """Press keys and Enter, and wait for the page to which that leads."""
        with self._leaving():
            self.keys(*keys, Keys.ENTER)

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        self.run("window.left = true")
        yield
        self.until(lambda: self.run("return !window.left && document.readyState === 'complete'"), "another page opens")

    def until(self, condition: Callable[[], T], what: str) -> T:
        """Wait for something that is true."""
        return WebDriverWait(self.driver, PATIENCE, 0.05, [JavascriptException]).until(lambda _: condition(), what)

    # What is wrong with a page.

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def problems(self) -> list[str]:
        """What the browser has complained about since the last call: errors, and what the page's policy forbids."""
        return [
            entry["message"]
            for entry in self.driver.get_log("browser")
            if entry["level"] == "SEVERE" or "Content Security Policy" in entry["message"]
        ]

    def barriers(self, *rules: str) -> list[str]:
        """What axe-core finds that is serious or critical, by these rules or by all that matter here."""
        assert self._axe is not None
        chosen = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": RULES}
        if not self.run("return 'axe' in window"):
            self.run(self._axe)
        found = self.driver.execute_async_script(
            "const done = arguments[1];"
            "axe.run(document, {runOnly: arguments[0], resultTypes: ['violations'], preload: false})"
            ".then((found) => done(found.violations), (error) => done(String(error)))",
            chosen,
        )
        assert isinstance(found, list), found
        return [
            f"{one['id']}: {json.dumps([node['html'][:200] for node in one['nodes'][:5]])}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]
