"""The log: one line an event, in both forms."""

import json
import os
import re
from pathlib import Path

import pytest

from broker.process.log import LEVELS, Log


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_a_text_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    Log(path=str(path)).notice("ready to accept connections", port=6379, name="a b", empty="")
    (line,) = lines(path)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} notice  pid \d+  "
        r'ready to accept connections port=6379 name="a b" empty=""',
        line,
    )


def test_a_json_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    Log(path=str(path), form="json").warning("x", port=6379, data=b"\xff\n", level="mine", rate=0.5)
    (line,) = lines(path)
    event = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", event.pop("time"))
    assert event == {
        "level": "warning", "pid": os.getpid(), "message": "x", "port": 6379, "data": "\\xff\n", "rate": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["text", "json", "logfmt"])
@pytest.mark.parametrize("hostile", ["a\nb", "a\r\nb", "\x1b[2J", "\u2028", "\x85", "\udcff", 'a" x=1', b"\n\xff"])
def test_client_data_stays_within_its_line(tmp_path: Path, form: str, hostile: str | bytes) -> None:
    path = tmp_path / "log"
    log = Log(path=str(path), form=form)
    log.notice("from a client", name=hostile)
    log.notice(hostile if isinstance(hostile, str) else "x")
    assert len(path.read_text().splitlines()) == 2
    assert path.read_text().replace("\n", "").isprintable()


def test_levels(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log("warning", str(path))
    for level in LEVELS:
        log.level = level
        assert log.level == level
        log.debug("d")
        log.verbose("v")
        log.notice("n")
        log.warning("w")
    assert [line[-1] for line in lines(path)] == [*"dvnw", *"vnw", *"nw", *"w"]


def test_a_failure_carries_its_traceback_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(path=str(path))
    try:
        raise KeyError("gone")
    except KeyError as error:
        log.failure("unexpected", error, command="GET")
    (line,) = lines(path)
    assert "KeyError: 'gone'" in line
    assert "test_log.py" in line


ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"


@pytest.mark.parametrize(("timestamps", "stamp"), [("iso8601", ISO), ("milliseconds", r"\d{13}")])
def test_timestamps(tmp_path: Path, timestamps: str, stamp: str) -> None:
    """They can change while the log is open, and so can the form."""
    path = tmp_path / "log"
    log = Log(path=str(path), form="json")
    for form in ("text", "logfmt", "json"):
        log.write_as(form, timestamps)
        log.notice("x")
    text, logfmt, event = lines(path)
    assert re.fullmatch(rf"{stamp} notice  pid \d+  x", text)
    assert re.search(rf' timestamp="{stamp}" ', logfmt)
    assert re.fullmatch(stamp, str(json.loads(event)["time"]))


def test_a_logfmt_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(path=str(path), form="logfmt")
    log.notice('say "x"', port=6379)
    log.role = "replica"
    log.notice("y")
    line, other = lines(path)
    assert re.fullmatch(rf'pid=\d+ role=primary timestamp="{ISO}" level=notice message="say \\"x\\"" port=6379', line)
    assert " role=replica " in other


def test_users_data_is_hidden_on_request(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(path=str(path))
    for hidden in (False, True):
        log.hide_user_data(hidden)
        log.notice("bad payload", key=log.user_data(b"secret"))
        try:
            raise ValueError("".join(("sec", "ret")))
        except ValueError as error:
            log.failure("failed", error)
    shown = lines(path)
    assert ["secret" in line for line in shown] == [True, True, False, False]
    assert "key=*redacted*" in shown[2] and "test_log.py" in shown[3]


def test_hidden_texts_leave_a_traceback_that_says_where(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(path=str(path), form="json")
    log.hide_user_data(True)
    text = "".join(("sec", "ret"))
    try:
        try:
            raise KeyError(text)
        except KeyError as missing:
            raise ExceptionGroup(text, [ValueError(text), OSError(text)]) from missing
    except ExceptionGroup as error:
        log.failure("failed", error)
    (line,) = lines(path)
    assert "secret" not in line
    for name in ("KeyError, and then:", "ValueError:", "OSError:", "test_log.py"):
        assert name in line


def test_a_long_text_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "log"
    Log(path=str(path)).notice("x" * 100_000, data=b"y" * 100_000)
    assert len(lines(path)[0]) < 10_000


def test_a_file_that_was_renamed_or_removed_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(path=str(path))
    log.notice("one")
    path.rename(tmp_path / "old")
    log.notice("two")
    assert len(lines(tmp_path / "old")) == len(lines(path)) == 1
    path.unlink()
    log.notice("three")
    (line,) = lines(path)
    assert line.endswith("three")
    (tmp_path / "other").write_text("")
    (tmp_path / "other").rename(path)
    log.notice("four")
    (line,) = lines(path)
    assert line.endswith("four")


def test_a_log_goes_on_in_the_old_file_where_there_can_be_no_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    log = Log(path=str(folder / "log"))
    folder.rename(tmp_path / "moved")
    log.notice("one")
    assert len(lines(tmp_path / "moved" / "log")) == 1


def test_a_log_stays_where_it_is_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = Log(path="log")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    log.notice("one")
    assert len(lines(tmp_path / "log")) == 1
    assert not (tmp_path / "folder" / "log").exists()


def test_a_log_that_fails_is_silent(tmp_path: Path) -> None:
    log = Log(path="/dev/full")
    log.notice("lost")
    log.close()
    log.notice("lost too")
    with pytest.raises(OSError):
        Log(path=str(tmp_path))


def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    log = Log()
    log.notice("here")
    log.close()
    log.notice("still here")
    assert capfd.readouterr().out.count("here") == 2


def shown(terminal: int, end: bytes) -> bytes:
    """What has been written to a terminal, up to these bytes."""
    text = b""
    while not text.endswith(end):
        text += os.read(terminal, 1000)
    return text


def test_progress_on_a_terminal_is_one_line_that_is_overwritten() -> None:
    ours, theirs = os.openpty()
    try:
        log = Log(path=os.ttyname(theirs))
        assert log.live
        log.progress("10 %")
        log.progress("20 %\n")
        assert shown(ours, b"n\x1b[K") == b"\r10 %\x1b[K\r20 %\\n\x1b[K"
        log.notice("done")
        log.notice("and on")
        first, second, _ = shown(ours, b"and on\r\n").split(b"\r\n")
        assert first.startswith(b"\r\x1b[K2") and first.endswith(b"done")
        assert second.startswith(b"2")
        log.level = "warning"
        log.progress("30 %")
        log.warning("end")
        assert shown(ours, b"  end\r\n").startswith(b"2")
        assert not Log(path=os.ttyname(theirs), form="json").live
        log.close()
    finally:
        os.close(ours)
        os.close(theirs)


def test_progress_in_a_file_is_an_event(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(path=str(path))
    assert not log.live
    log.progress("10 %")
    (line,) = lines(path)
    assert " notice " in line and line.endswith("  10 %")
