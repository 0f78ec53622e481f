"""What the kernel is asked, of files that stand for its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from broker.process.kernel import refuses_overcommit, uses_huge_pages


@pytest.mark.parametrize(("text", "refuses"), [("0\n", True), ("1\n", False), ("2\n", True), (None, False)])
def test_overcommit(text: str | None, refuses: bool, tmp_path: Path) -> None:
    file = tmp_path / "overcommit_memory"
    if text is not None:
        file.write_text(text)
    assert refuses_overcommit(file) is refuses


@pytest.mark.parametrize(
    ("text", "used"),
    [("[always] madvise never", True), ("always [madvise] never", False), ("always madvise [never]", False)],
)
def test_huge_pages(text: str, used: bool, tmp_path: Path) -> None:
    file = tmp_path / "enabled"
    file.write_text(text)
    assert uses_huge_pages(file) is used


@pytest.mark.skipif(sys.platform != "linux", reason="a call of Linux")
def test_huge_pages_are_disabled_for_the_process() -> None:
    script = (
        "from broker.process.kernel import disable_huge_pages; import ctypes;"
        "print(disable_huge_pages(), ctypes.CDLL(None).prctl(42, 0, 0, 0, 0))"  # PR_GET_THP_DISABLE
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.split() == ["True", "1"]
