"""The guides' code: the named programs and tests run unchanged, all other Python at least compiles."""

import ast
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.programs import ROOT, SECONDS, environment, pytest_options, run, trimaran, worker

DOCS = ROOT / "docs"
GUIDES = {
    "worker-queues.md": "thumbs.py",
    "workflows.md": "pictures.py",
    "event-streams.md": "billing.py",
    "fan-out.md": "news.py",
}
MOVING = ("from-celery.md", "from-rq.md")
URL = "redis://127.0.0.1:6379"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ID = re.compile(rb"^(\d{10,}-\d+)\r$", re.MULTILINE)
NAME = re.compile(r"# (\w+\.py)\n")


def blocks(guide: str) -> list[str]:
    return BLOCK.findall((DOCS / guide).read_text())


def unpack(guide: str, folder: Path, url: str = URL) -> list[str]:
    """Write the guide's named files into a folder, with the URL of another server."""
    names = []
    for block in blocks(guide):
        if found := NAME.match(block):
            (folder / found[1]).write_text(block.replace(URL, url))
            names.append(found[1])
    return names


@contextmanager
def running(program: Path, url: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a program that goes on until Ctrl-C, which is sent at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, str(program)], env=environment(url), cwd=program.parent,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a shell may have started the tests with the signal ignored, which programs inherit
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        yield process
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode != 0 and "KeyboardInterrupt" in errors, errors
    finally:
        process.kill()
        process.communicate()


@pytest.mark.elsewhere
def test_a_job_is_done_in_the_same_program_or_by_a_worker(port_url: str, tmp_path: Path) -> None:
    unpack("worker-queues.md", tmp_path, port_url)
    assert run(tmp_path / "thumbs.py", port_url) == ["cat.png is 200 wide"]
    with worker("thumbs:queue", port_url, tmp_path):
        assert run(tmp_path / "thumbs.py", port_url) == ["cat.png is 200 wide"]


VIEWS = {
    "flask": "from flask_app import app; print(app.test_client().get('/thumbnails/cat.png').text)",
    "django": "from django.conf import settings; settings.configure(); from django.test import RequestFactory; "
    "from views import show; import json; "
    "print(json.loads(show(RequestFactory().get('/'), 'cat.png').content)['result'])",
}


@pytest.mark.parametrize("framework", VIEWS)
def test_a_view_enqueues_and_waits(framework: str, port_url: str, tmp_path: Path) -> None:
    pytest.importorskip(framework)
    unpack("worker-queues.md", tmp_path, port_url)
    (tmp_path / "request.py").write_text(VIEWS[framework])
    with worker("thumbs:queue", port_url, tmp_path):
        assert run(tmp_path / "request.py", port_url) == ["cat.png is 200 wide"]


@pytest.mark.elsewhere
def test_an_order_that_is_published_is_billed(port_url: str, tmp_path: Path) -> None:
    unpack("event-streams.md", tmp_path, port_url)
    with running(tmp_path / "billing.py", port_url) as process:
        trimaran("publish", "--stream", "orders", "customer=ann", "total=12", url=port_url)
        assert process.stdout is not None and process.stdout.readline() == "ann pays 12\n"


@pytest.mark.elsewhere
def test_messages_are_printed_as_they_were_published(port_url: str, tmp_path: Path) -> None:
    unpack("fan-out.md", tmp_path, port_url)
    assert run(tmp_path / "news.py", port_url) == ["prices.ABC 12", "news end"]


def test_a_follower_goes_on_where_it_stopped(port_url: str, tmp_path: Path) -> None:
    unpack("fan-out.md", tmp_path, port_url)
    seen: list[list[str]] = []
    for totals in (("1", "2"), ("3",)):
        for total in totals:
            trimaran("publish", "--stream", "orders", f"total={total}", url=port_url)
        with running(tmp_path / "audit.py", port_url) as process:
            assert process.stdout is not None
            printed: list[str] = []
            while not printed or printed[-1] != totals[-1]:
                printed.append(process.stdout.readline().split("'")[-2])
            seen.append(printed)
            _wait_until_all_is_saved(port_url)
    # At least once: Ctrl-C may come between an entry and the note that it was seen.
    assert seen[0] == ["1", "2"] and seen[1] in (["3"], ["2", "3"])


def _wait_until_all_is_saved(url: str) -> None:
    """Wait until the only service's position is the end of the stream: Ctrl-C may prevent it from being saved."""
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), SECONDS) as connection:
        answers = connection.makefile("rb")
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            connection.sendall(b"XINFO STREAM orders\r\nXINFO GROUPS orders\r\nECHO end\r\n")
            ids = ID.findall(b"".join(iter(answers.readline, b"end\r\n")))
            # the very last ID is the group's position
            if ids[-1] == max(ids, key=lambda id: tuple(map(int, id.split(b"-")))):
                return
            time.sleep(0.01)
    raise AssertionError("the position was not saved")


def test_the_readmes_program_runs(port_url: str, tmp_path: Path) -> None:
    (program,) = (block for block in blocks("../README.md") if "import Queue, Worker" in block)
    assert len(program.splitlines()) < 20
    (tmp_path / "readme.py").write_text(program.replace(URL, port_url))
    assert run(tmp_path / "readme.py", port_url) == ["cat.png is 200 wide"]


def test_the_broker_in_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks("reference/broker.md")
    exec(program, {})
    assert re.fullmatch(r"b'\$\d+\\r\\n\d+-0\\r\\n'\n", capsys.readouterr().out)


def test_the_guides_tests_pass(tmp_path: Path) -> None:
    # all in one folder and one process, which imports everything only once
    for guide in (*GUIDES, *MOVING):
        present = {path.name for path in tmp_path.iterdir()}
        names = unpack(guide, tmp_path)
        assert any(name.startswith("test_") for name in names) and present.isdisjoint(names), guide
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *pytest_options()],
        env=environment(URL), cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("guide", "program"), GUIDES.items())
def test_a_guide_begins_with_a_program_of_less_than_twenty_lines(guide: str, program: str) -> None:
    first = blocks(guide)[0]
    assert first.startswith(f"# {program}\n") and len(first.splitlines()) < 20


@pytest.mark.parametrize(
    "guide", [*GUIDES, *MOVING, "tutorial.md", "from-redis.md", "index.md", "operations.md", "../README.md"]
)
def test_all_python_compiles_and_all_links_lead_somewhere(guide: str) -> None:
    for block in blocks(guide):
        compile(block, guide, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for link in re.findall(r"\]\(([^)#:]+)\)", (DOCS / guide).read_text()):
        assert ((DOCS / guide).parent / link).exists(), link
