"""Building in place says what it lacks, which pip provides, and how far it is."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("setuptools", reason="what runs setup.py by itself must have it installed")

ROOT = Path(__file__).parent.parent
RUN = """
import runpy, setuptools, sys
sys.modules["Cython.Build"] = None
setuptools.__version__, setuptools.setup = sys.argv[1], lambda **parts: print("builds")
runpy.run_path("setup.py")
"""


def built_with(version: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", RUN, version]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_oldest_setuptools_is_the_one_that_is_declared() -> None:
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    [needed] = [each.partition(">=")[2] for each in requires if each.startswith("setuptools")]
    assert "builds" in built_with(f"{needed}.0.1").stdout
    refused = built_with(f"{int(needed) - 1}.9")
    assert refused.returncode == 1 and "builds" not in refused.stdout
    assert refused.stderr.startswith(f"setuptools {int(needed) - 1}.9 is too old to build Trimaran: {needed} or newer")
    assert "Traceback" not in refused.stderr


STEPS = """
import runpy, setuptools, sys
sys.modules["Cython.Build"] = None
setuptools.__version__, setuptools.setup = "77", lambda **parts: None
steps = runpy.run_path("setup.py")["Steps"]("compiling", 25)
for _ in range(25):
    steps.done()
"""


def test_a_build_tells_a_file_how_far_it_is_and_prints_nothing(tmp_path: Path) -> None:
    told = tmp_path / "told"
    for progress in (str(told), "", str(tmp_path / "no" / "such")):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", STEPS],
            cwd=ROOT, env={**os.environ, "TRIMARAN_PROGRESS": progress}, capture_output=True, check=True,
        )  # fmt: skip
        assert done.stdout == done.stderr == b""
    lines = told.read_text().splitlines()
    assert len(lines) == 10 and (lines[0], lines[-1]) == ("make: compiling: 3 of 25", "make: compiling: 25 of 25")
