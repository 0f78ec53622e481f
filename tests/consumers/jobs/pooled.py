"""A program whose jobs run in the processes of a worker's pool."""

import ctypes
import logging
import os
import signal
import subprocess
import time
from pathlib import Path

from consumers.jobs import Backoff, Queue, Reject, Retry, current_job

queue = Queue("pooled")
SOON = Backoff(initial=0.02, factor=1, max=0.02, jitter=False)


class Spoilt(Exception):
    def __init__(self, what: str, *, why: str) -> None:
        super().__init__(f"{what} {why}")
        self.why = why


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("no way")
        self.keep = lambda: None


@queue.job(process=True)
def whereabouts(words: tuple[str, ...]) -> tuple[int, str, tuple[str, ...]]:
    print("not a reply")
    logging.getLogger("theirs").warning("running %s", current_job().name, extra={"job_id": current_job().id})
    for n in range(1000):
        current_job().progress(n, 999)
    return os.getpid(), current_job().id, words


@queue.job(process=True, retries=5, backoff=SOON, dead_on=Unpicklable)
def fails(how: str) -> int:
    if how == "retry" and current_job().attempt < 3:
        raise Retry(delay=0)
    if how == "reject":
        raise Reject("it is bad")
    if how == "spoilt":
        raise KeyError("x") from ValueError("y")
    if how == "unpicklable":
        raise Unpicklable
    if how == "exit" and current_job().attempt < 3:
        raise SystemExit(3)
    return current_job().attempt


@queue.job(process=True, retries=0, dead_on=KeyError)
def dead_by_class() -> None:
    raise KeyError("x")


@queue.job(process=True, retries=1, backoff=SOON)
def crashes(how: str) -> None:
    if how == "exit":
        os._exit(7)
    os.kill(os.getpid(), signal.SIGSEGV)


@queue.job(process=True, retries=0, timeout=0.5)
def hangs(pids: str) -> None:
    hang(pids)


@queue.job(process=True)
def hangs_on(pids: str) -> None:
    hang(pids)


def hang(pids: str) -> None:
    """Write the processes' IDs to a file, and hold the interpreter's lock."""
    child = subprocess.Popen(["sleep", "100"])
    Path(pids + ".new").write_text(f"{os.getpid()} {child.pid}")
    os.rename(pids + ".new", pids)
    ctypes.PyDLL(None).sleep(100)


@queue.job(process=True, timeout=1.5, retries=0)
def naps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds
