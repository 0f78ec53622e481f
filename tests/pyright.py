"""Runs pyright, in the edition that brings its own Node.js, as a user's editor would."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Finding", "pyright"]

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Finding:
    """What pyright says about a line (from 1): "error", "warning" or "information"."""

    file: str
    line: int
    severity: str
    text: str


def pyright(folder: Path) -> list[Finding]:
    """Check the programs in a folder, strictly. Skips the test where basedpyright is missing."""
    pytest.importorskip("basedpyright")
    settings = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--project", str(folder), "--pythonpath", sys.executable]
    output = subprocess.run([*command, "--outputjson"], capture_output=True, text=True, timeout=300, check=False)
    found: list[dict[str, Any]] = json.loads(output.stdout)["generalDiagnostics"]
    return [
        Finding(Path(one["file"]).name, one["range"]["start"]["line"] + 1, one["severity"], one["message"])
        for one in found
    ]
