"""Forked children: what they keep of their parent."""

import os
import signal

from broker.process.forking import begin_child, fork_with_pipe


def said_by_a_child(*kept: int) -> str:
    """What a child that keeps these descriptors says of its descriptors and signals."""
    pid, pipe = fork_with_pipe()
    if not pid:
        try:
            begin_child(pipe, *kept)
            present = [number for number in range(3, 64) if number != pipe and _is_open(number)]
            ignored = [
                number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) == signal.SIG_IGN
            ]
            os.write(pipe, f"{present} {ignored == [signal.SIGINT]}".encode())
        finally:
            os._exit(0)
    with open(pipe, "rb") as file:
        text = file.read().decode()
    os.waitpid(pid, 0)
    return text


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_a_child_keeps_what_it_is_told_to() -> None:
    first, second = os.pipe()
    try:
        assert said_by_a_child() == "[] True"
        assert said_by_a_child(-1, second) == f"[{second}] True"
        assert said_by_a_child(second, 0, first) == f"{sorted((first, second))} True"
    finally:
        os.close(first)
        os.close(second)
