"""docs/from-celery.md and from-rq.md: the code runs, and prints what its comments say; the other side's compiles."""

import ast
import re
from pathlib import Path

import pytest

from tests.docs.programs import run, worker
from tests.docs.test_guides import DOCS, NAME, blocks, unpack

PROGRAMS = {"from-celery.md": ("shop", ["5"]), "from-rq.md": ("pages", ["3"])}
THEIRS = re.compile(r"^```py\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^ *print\(.*\) +# (.*)$", re.MULTILINE)

VIEWS = """
import asyncio
from asgiref.sync import sync_to_async
from project_jobs import index

async def view():
    job = await sync_to_async(index.sync.enqueue)(5)
    return await sync_to_async(job.result)(timeout=30)

print(index.sync.enqueue(4).result(timeout=30))
print(asyncio.run(view()))
"""


@pytest.mark.parametrize("guide", PROGRAMS)
def test_everything_runs_and_prints_what_it_says(guide: str, port_url: str, tmp_path: Path) -> None:
    module, printed = PROGRAMS[guide]
    unpack(guide, tmp_path, port_url)
    code = "".join(block for block in blocks(guide) if not NAME.match(block))
    (tmp_path / "all.py").write_text(f"from {module} import *\n{code}")
    expected = PRINTED.findall(code)
    assert expected
    with worker(f"{module}:queue", port_url, tmp_path):
        assert run(tmp_path / f"{module}.py", port_url) == printed
        assert run(tmp_path / "all.py", port_url) == expected


@pytest.mark.parametrize("guide", PROGRAMS)
def test_their_code_compiles(guide: str) -> None:
    theirs = THEIRS.findall((DOCS / guide).read_text())
    assert len(theirs) > 2
    for block in theirs:
        compile(block, guide, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_jobs_of_a_django_project(port_url: str, tmp_path: Path) -> None:
    pytest.importorskip("django")
    unpack("from-celery.md", tmp_path, port_url)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "settings.py").write_text(
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n"
    )
    (tmp_path / "view.py").write_text(
        "from project_jobs import index\nprint(index.sync.enqueue(4).result(timeout=30))\n"
    )
    with worker("project_jobs:queue", port_url, tmp_path):
        assert run(tmp_path / "view.py", port_url) == ["5"]
