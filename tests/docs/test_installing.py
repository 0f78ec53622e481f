"""The wheel of `make dist` on a machine that has only Python: installed with pip, it runs a job, and a browser sees it.

Skipped while there is no such wheel. Its dependencies come from where pip gets them.
"""

import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ui.browser import Browser, missing

DIST = Path(__file__).parents[2] / "dist"
APP = """
from consumers.jobs import Queue
queue = Queue("first")
@queue.job()
async def double(number: int) -> int:
    return 2 * number
"""
PROGRAM = """
import anyio, app, sys
async def main():
    async with app.queue.open(sys.argv[1]):
        job = await app.double.enqueue(21)
        print(job.id, await job.result(timeout=60))
anyio.run(main)
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an environment in which the wheel is installed, and nothing but what it asks for."""
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}-"
    wheels = sorted(DIST.glob(f"*-{tag}*.whl"))
    if not wheels:
        pytest.skip("no wheel for this interpreter in dist/: make dist")
    venv.create(tmp_path / "environment", with_pip=True)
    python = tmp_path / "environment" / "bin" / "python"
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheels[-1]}[ui,reload]"]
    subprocess.run(command, check=True, timeout=280)
    return python


@pytest.fixture
def browser(python: Path) -> Iterator[Browser | None]:
    """None where there is none: then all but the look is tested."""
    if missing() is not None:
        yield None
        return
    browser = Browser(None)
    yield browser
    browser.close()


def test_one_command_from_nothing(
    python: Path, browser: Browser | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIMARAN_PURE", raising=False)
    (tmp_path / "app.py").write_text(APP)
    trimaran = python.with_name("trimaran")
    build = subprocess.run([trimaran, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    if sysconfig.get_platform().startswith("linux"):
        assert "(compiled)" in build
    with subprocess.Popen(
        [trimaran, "dev", "app:queue", "--port", "0", "--console-port", "0"],
        cwd=tmp_path, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            told = dict(line.split()[:2] for line in (process.stdout.readline() for _ in range(3)))
            command = [python, "-c", PROGRAM, told["broker"]]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120)
            job, result = done.stdout.split()
            assert result == "42"
            _until_served(told["console"])
            if browser is not None:
                _look(browser, told["console"], job)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()


def _until_served(console: str) -> None:
    """Wait until the console, which is started last, serves pages."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(console):
                return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def _look(browser: Browser, console: str, job: str) -> None:
    """See what somebody sees who opens the address that was printed."""
    browser.renew(console)
    browser.open("/")
    browser.press(browser.driver.find_element("link text", "Queues"))
    browser.until(lambda: _shown_first(browser), "the queue is found")
    browser.press(browser.find('tr[data-key="consumers first"] a'))
    assert browser.find("h1").text == "first consumers" and "Workers\n1" in browser.text
    browser.open(f"/queues/job?library=consumers&name=first&id={job}")
    assert browser.find("h1").text == "double Done" and job in browser.text
    browser.press(browser.driver.find_element("link text", "first"))
    assert browser.path == "/queues/queue?library=consumers&name=first" and browser.problems() == []


def _shown_first(browser: Browser) -> bool:
    """Load the page of queues again; whether it has the queue."""
    browser.driver.refresh()
    return bool(browser.every('tr[data-key="consumers first"]'))
