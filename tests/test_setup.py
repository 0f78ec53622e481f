"""Building in place says what it lacks; pip provides all of it."""

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
