"""What mypy --strict and pyright see of declared jobs: they are run on a program that uses them."""

import re
from pathlib import Path

import pytest

from tests.pyright import pyright

# Each comment says what is revealed there (mypy's words, and pyright's if they differ), or which error mypy finds.
PROGRAM = """\
from collections.abc import AsyncIterator
from datetime import timedelta

from consumers.jobs import INJECTED, Job, JobFunction, Queue

queue = Queue("q")


@queue.job(retries=5, timeout=timedelta(minutes=1))
async def resize(path: str, width: int = 100) -> str:
    return path


@queue.job()
def count(words: list[str]) -> int:
    return len(words)


@queue.lifespan
async def context() -> AsyncIterator[bytes]:
    yield b""


@queue.job()
async def store(path: str, resources: bytes = INJECTED) -> int:
    return len(resources)


async def main() -> None:
    reveal_type(await store.enqueue("a"))  # Job[int]
    reveal_type(await store("a", b""))  # int
    await store("a", "")  # error: arg-type
    print(reveal_type(resize("cat.png")))  # Coroutine[Any, Any, str]
    resize("cat.png")  # error: unused-coroutine
    reveal_type(await resize("cat.png", 5))  # str
    reveal_type(count(["a"]))  # int
    reveal_type(await resize.enqueue("cat.png", width=5))  # Job[str]
    reveal_type(await count.enqueue(["a"], delay=5))  # Job[int]
    reveal_type(await count.enqueue(["a"], job_id="a", expires=timedelta(1)))  # Job[int]
    reveal_type(count.call(["a"], priority="high", expires=5))  # Call[int]
    reveal_type(await count.with_options(job_id="a").enqueue(["a"]))  # Job[int]
    reveal_type(await count.with_options(delay=timedelta(1)).enqueue(["a"]))  # Job[int]
    reveal_type(count.with_options(unique=True).call(["a"]))  # Call[int]
    reveal_type(await (await count.enqueue(["a"])).result())  # int
    reveal_type(await queue.enqueue_many([count.call(["a"]), count.call([])]))  # list[Job[int]]
    several = await queue.enqueue_many([resize.call("a"), count.call([])])
    reveal_type(several)  # list[Job[object]] or list[Job[int | str]]
    reveal_type(queue.handle("id", resize))  # Job[str]
    reveal_type(resize.sync.enqueue("cat.png", width=5))  # SyncJob[str]
    reveal_type(count.sync.enqueue(["a"], delay=5).result())  # int
    reveal_type(count.with_options(delay=5).sync.enqueue(["a"]))  # SyncJob[int]
    reveal_type(queue.sync.enqueue_many([count.call(["a"])]))  # list[SyncJob[int]]
    reveal_type(queue.sync.run((await count.enqueue(["a"])).result, timeout=5))  # int
    jobs: list[Job[object]] = [await resize.enqueue("a"), await count.enqueue([])]
    functions: list[JobFunction[..., object]] = [resize, count]
    print(jobs, functions)
    await resize(5)  # error: arg-type
    count(["a"]) + "a"  # error: operator
    await resize.enqueue()  # error: call-overload
    await resize.enqueue("cat.png", "wide")  # error: call-overload
    resize.sync.enqueue("cat.png", "wide")  # error: call-overload
    resize.with_options(delay=5).sync.enqueue("cat.png", "wide")  # error: arg-type
    queue.sync.run(queue.pause, 5)  # error: call-arg
    await resize.with_options(delay=5).enqueue("cat.png", "wide")  # error: arg-type
    await resize.with_options(priority="high").enqueue(with_=5)  # error: call-arg
    resize.with_options(delay="5")  # error: arg-type
    resize.with_options(delay=5).call(5)  # error: arg-type
"""


def test_declared_jobs_are_typed(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    output, errors, _ = api.run(
        ["--strict", "--no-pretty", "--show-error-codes", "--no-error-summary", "--cache-dir", str(tmp_path / "cache"),
         "--config-file", "", str(program)]
    )  # fmt: skip
    assert not errors
    found: dict[int, tuple[str, str]] = {}
    for line, kind, text in re.findall(r"program\.py:(\d+): (\w+): (.*)", output):
        # the notes of an overload follow its error
        found.setdefault(int(line), (kind, text))
    for number, code in enumerate(PROGRAM.splitlines(), 1):
        expected = code.partition("  # ")[2]
        if expected.startswith("error: "):
            kind, text = found.pop(number)
            assert kind == "error" and text.endswith(f"[{expected.removeprefix('error: ')}]"), code
        elif expected:
            kind, text = found.pop(number)
            revealed = re.sub(r"\b[a-z_.]+\.(?=[A-Za-z])", "", text.partition('"')[2].rstrip('"'))
            assert kind == "note" and revealed in expected.split(" or "), code
    assert found == {}


def test_pyright_sees_the_same(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    found = {one.line: one for one in pyright(tmp_path)}
    for number, code in enumerate(PROGRAM.splitlines(), 1):
        expected = code.partition("  # ")[2]
        if expected.startswith("error: "):
            assert found.pop(number).severity == "error", code
        elif expected:
            one = found.pop(number)
            revealed = one.text.rpartition(" is ")[2].strip('"')
            assert one.severity == "information" and revealed in expected.split(" or "), code
    assert found == {}
