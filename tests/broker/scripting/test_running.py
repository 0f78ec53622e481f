"""What a slow script does to others, and who may end it."""

import pytest

from broker.clients.session import Session
from broker.scripting.running import BUSY_FUNCTION, BUSY_SCRIPT, KILLED, NOT_BUSY, Interruption, Run
from protocol.errors import CommandError
from tests.broker.sessions import make_broker, make_session


def running(threshold: int, *, is_eval: bool = True) -> tuple[Interruption, Run, list[Session]]:
    """A script that runs, and the callers beside whom others were served."""
    broker = make_broker(busy_reply_threshold=threshold)
    session = make_session(broker)
    served: list[Session] = []
    interruption = Interruption(broker.config, broker.log, broker.state, served.append)
    run = Run(session, [b"EVAL"], b"name", is_eval=is_eval, read_only=False, allows_oom=False)
    interruption.current = run
    return interruption, run, served


def kill(interruption: Interruption, by_script_kill: bool = True) -> bytes:
    try:
        interruption.kill(by_script_kill)
    except CommandError as refusal:
        return refusal.text
    return b"OK"


def test_a_quick_script_disturbs_nobody() -> None:
    interruption, run, served = running(60_000)
    assert interruption.check() is None
    assert (run.slow, served, run.caller.broker.state.busy) == (False, [], None)


def test_without_a_threshold_no_script_is_slow() -> None:
    interruption, run, served = running(0)
    run.started -= 1000
    assert interruption.check() is None
    assert (run.slow, served) == (False, [])


@pytest.mark.parametrize(("is_eval", "text"), [(True, BUSY_SCRIPT), (False, BUSY_FUNCTION)])
def test_beside_a_slow_script_others_are_served(is_eval: bool, text: bytes) -> None:
    interruption, run, served = running(10, is_eval=is_eval)
    run.started -= 1
    assert interruption.check() is None
    assert interruption.check() is None
    assert served == [run.caller] * 2
    assert run.caller.broker.state.busy == text
    interruption.ended()
    assert run.caller.broker.state.busy is None
    assert interruption.current is None


def test_killing() -> None:
    interruption, _run, _ = running(60_000)
    assert kill(interruption, by_script_kill=False) == BUSY_SCRIPT
    assert kill(interruption) == b"OK"
    assert interruption.check() == KILLED
    interruption.ended()
    assert kill(interruption) == NOT_BUSY


def test_what_has_written_is_not_killed_but_abandoned() -> None:
    interruption, run, _ = running(60_000)
    run.wrote = True
    assert kill(interruption).startswith(b"UNKILLABLE")
    assert interruption.check() is None
    interruption.abandon()
    assert interruption.check() == KILLED


def test_a_function_is_killed_by_function_kill() -> None:
    interruption, _run, _ = running(60_000, is_eval=False)
    assert kill(interruption) == BUSY_FUNCTION
    assert kill(interruption, by_script_kill=False) == b"OK"


def test_a_defect_while_serving_does_not_end_the_script() -> None:
    interruption, run, _ = running(10)

    def fail(caller: Session) -> None:
        raise RuntimeError

    interruption._serve_while_busy = fail
    run.started -= 1
    assert interruption.check() is None


def test_loading_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    interruption = make_broker().scripting.interruption
    assert interruption.check() is None
    now = 0.0
    monkeypatch.setattr("broker.scripting.running.monotonic", lambda: now)
    interruption.begin_load()
    now = 0.4
    assert interruption.check() is None
    now = 0.6
    assert interruption.check() == b"FUNCTION LOAD timeout"
    interruption.end_load()
    assert interruption.check() is None
