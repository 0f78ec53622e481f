"""mypy --strict and pyright, strict as well, accept the programs of the guides and the examples, as they are."""

import shutil
from pathlib import Path

import pytest

from tests.docs.programs import ROOT
from tests.docs.test_guides import GUIDES, MOVING, unpack
from tests.pyright import pyright


def test_programs_are_typed(tmp_path: Path) -> None:
    api = pytest.importorskip("mypy.api")
    for guide in (*GUIDES, *MOVING):
        unpack(guide, tmp_path)
    programs = [path for path in tmp_path.glob("*.py") if not path.name.startswith("test_")]
    assert len(programs) > 8
    examples = sorted((ROOT / "docs" / "examples").glob("*.py"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYPYPATH", f"{ROOT}:{tmp_path}")
        output, errors, status = api.run([
            "--strict", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache"),
            # Django has no types of its own
            "--disable-error-code", "import-untyped", "--disable-error-code", "import-not-found",
            *map(str, [*programs, *examples]),
        ])  # fmt: skip
    assert status == 0, output + errors


def test_pyright_accepts_them(tmp_path: Path) -> None:
    for guide in (*GUIDES, *MOVING):
        unpack(guide, tmp_path)
    for example in (ROOT / "docs" / "examples").glob("*.py"):
        shutil.copy(example, tmp_path)
    for program in tmp_path.glob("*.py"):
        # tests lean on pytest, and Django has no types of its own
        if program.name.startswith("test_") or "django" in program.read_text():
            program.unlink()
    assert len(list(tmp_path.glob("*.py"))) > 8
    assert pyright(tmp_path) == []
