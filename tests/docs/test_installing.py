"""The wheel of `make dist` on a machine that has only Python: installed with pip, it runs a job and shows it.

Skipped while there is no such wheel. Its dependencies come from where pip gets them.
"""

import signal
import subprocess
import sys
import sysconfig
import time
import urllib.request
import venv
from pathlib import Path

import pytest

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
        print(await (await app.double.enqueue(21)).result(timeout=60))
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


def test_one_command_from_nothing(python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
            assert done.stdout == "42\n"
            assert _page(f"{told['console']}/")
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()


def _page(url: str) -> str:
    """The page, once the console serves it."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url) as page:
                return str(page.read())
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
