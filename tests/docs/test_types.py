"""mypy --strict accepts the programs of the guides and the examples, as they are."""

from pathlib import Path

import pytest

from tests.docs.programs import ROOT
from tests.docs.test_guides import GUIDES, MOVING, unpack

api = pytest.importorskip("mypy.api")


def test_programs_are_typed(tmp_path: Path) -> None:
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
