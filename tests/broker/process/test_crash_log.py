"""Reports of a process that dies, or is stuck, in native code."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

SETUP = """
import os, time
from broker.process.crash_log import CrashLog
from broker.process.log import Log
log = Log("notice", "log")
crash_log = CrashLog(log)
"""


def run(script: str, folder: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", SETUP + script], cwd=folder, env={"PYTHONPATH": str(ROOT)})
    return done.returncode, (folder / "log").read_text()


def test_a_crash_is_in_the_log_and_in_a_reopened_one(tmp_path: Path) -> None:
    status, text = run(
        "crash_log.enable(True); os.rename('log', 'old'); log.reopen(); log.notice('x')\n"
        "import ctypes; ctypes.string_at(0)",
        tmp_path,
    )
    assert status < 0
    assert "Fatal Python error: Segmentation fault" in text and "ctypes" in text
    assert (tmp_path / "old").read_text() == ""


def test_no_crash_log(tmp_path: Path) -> None:
    status, text = run("crash_log.enable(True); crash_log.enable(False)\nimport ctypes; ctypes.string_at(0)", tmp_path)
    assert status < 0
    assert text == ""


def test_a_process_that_is_stuck_says_where(tmp_path: Path) -> None:
    status, text = run(
        "crash_log.watch(50)\n"
        "while not os.path.getsize('log'): time.sleep(0.01)\n"  # not alive until there is a report
        "crash_log.watch(0); crash_log.alive()",
        tmp_path,
    )
    assert status == 0
    assert text.startswith("Timeout (0:00:00.050000)!\nThread") and "<string>" in text
