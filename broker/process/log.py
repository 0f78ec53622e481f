"""The broker's log: one line per event, for people or, as JSON, for machines.

    2026-11-23 12:00:00.123 notice  pid 4711  ready to accept connections port=6379

Each line is one unbuffered write to a file opened for appending, so the lines of several processes don't mix and none
is lost in a crash. Data sent by clients may appear in a line, but whatever it contains, it can't start a new one. A log
that can't be written (full disk, closed pipe) never stops the broker.

This does not use the standard library's logging, whose handlers take locks and format through several calls: this is
all that is needed.
"""

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Final

from broker.process.syslog import Syslog

LEVELS: Final = ("debug", "verbose", "notice", "warning", "nothing")
"""From most verbose to silent, as the directive loglevel names them."""

# An event's text and each of its values are truncated to this length: a client's data must not fill the disk.
TEXT_MAX = 4096

REDACTED: Final = "*redacted*"
"""What stands for clients' data under `hide-user-data-from-log`, as in Redis."""

_ERASE: Final = "\x1b[K"
"""Has a terminal erase the rest of the line."""

_DEBUG, _VERBOSE, _NOTICE, _WARNING, _NOTHING = range(5)


class Log:
    """Writes events of a given level and above.

    An event is a text with %-style placeholders for its arguments (formatted only if the event is written), plus named
    values.

    role: what the process is, "primary" or "replica"; shown in the form "logfmt" alone, as in Valkey.
    path: the file to append to, or empty for standard output. form, timestamps: see write_as(). syslog: where each line
    goes as well.
    """

    def __init__(
        self,
        level: str = "notice",
        path: str = "",
        *,
        form: str = "text",
        timestamps: str = "legacy",
        syslog: Syslog | None = None,
    ) -> None:
        # Absolute, because the directive `dir` changes the working directory.
        self._path = os.path.abspath(path) if path else ""
        self.write_as(form, timestamps)
        self.role = "primary"
        self._syslog = syslog
        self._hides_user_data = False
        self._descriptor = -1
        self._unfinished = False
        self._threshold = LEVELS.index(level)
        self.reopen()

    @property
    def level(self) -> str:
        """The lowest level that is written."""
        return LEVELS[self._threshold]

    @level.setter
    def level(self, level: str) -> None:
        self._threshold = LEVELS.index(level)

    def write_as(self, form: str, timestamps: str) -> None:
        """Follow `log-format` ("text", "json" or "logfmt") and `log-timestamp-format` ("iso8601", "milliseconds" since
        1970, or "legacy": the form's own)."""
        self._line = _FORMS[form]
        self._time = _TIMES.get(timestamps, _date_and_time if form == "text" else _iso_time)

    def fileno(self) -> int:
        """The file's descriptor, which stays the same when the file is reopened."""
        return self._descriptor

    def hide_user_data(self, hide: bool) -> None:
        """Follow `hide-user-data-from-log`."""
        self._hides_user_data = hide

    def user_data(self, value: object) -> object:
        """A client's key, value or text as it may appear in an event: REDACTED if it must not."""
        return REDACTED if self._hides_user_data else value

    def reopen(self) -> None:
        """Reopen the file after it was moved away. On failure, raises OSError and keeps the old one open."""
        if not self._path:
            sys.stdout.flush()
            self._descriptor = sys.stdout.fileno() if _has_descriptor() else 1
            return
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if self._descriptor < 0:
            self._descriptor = descriptor
            return
        # Crash reports are written to the same number.
        os.dup2(descriptor, self._descriptor, inheritable=False)
        os.close(descriptor)

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self._path and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def debug(self, text: str, /, *args: object, **values: object) -> None:
        """Log something that is only useful for debugging the broker."""
        if self._threshold <= _DEBUG:
            self._write(_DEBUG, text % args if args else text, values)

    def verbose(self, text: str, /, *args: object, **values: object) -> None:
        """Log something that is rarely useful, and not too frequent."""
        if self._threshold <= _VERBOSE:
            self._write(_VERBOSE, text % args if args else text, values)

    def notice(self, text: str, /, *args: object, **values: object) -> None:
        """Log something that the operator of a production broker wants to know."""
        if self._threshold <= _NOTICE:
            self._write(_NOTICE, text % args if args else text, values)

    @property
    def live(self) -> bool:
        """Whether people watch: the log is a terminal, in the form for people."""
        return self._line is _text_line and self._descriptor >= 0 and os.isatty(self._descriptor)

    def progress(self, text: str) -> None:
        """Log how far something is, as a notice; if `live`, in a line that the next one overwrites."""
        if self._threshold <= _NOTICE:
            if self.live:
                self._unfinished = True
                self._put(f"\r{_one_line(text)}{_ERASE}")
            else:
                self._write(_NOTICE, text, {})

    def warning(self, text: str, /, *args: object, **values: object) -> None:
        """Log something that needs attention."""
        if self._threshold <= _WARNING:
            self._write(_WARNING, text % args if args else text, values)

    def failure(self, text: str, error: BaseException, /, **values: object) -> None:
        """Log a warning about an unexpected exception, with its traceback."""
        if self._threshold <= _WARNING:
            if self._hides_user_data:
                # An exception's text may quote what a client sent.
                values["error"] = type(error).__name__
                frames = _frames_alone(error)
            else:
                values["error"] = f"{type(error).__name__}: {error}"
                frames = traceback.format_exception(error)
            # The end of a traceback says the most.
            values["traceback"] = "".join(frames)[-TEXT_MAX:]
            self._write(_WARNING, text, values)

    def _follow_rotation(self) -> None:
        """Reopen the file if it was renamed or removed. Checking for every line takes 2 us, and lines are few."""
        if not self._path or self._descriptor < 0:
            return
        try:
            there = os.stat(self._path)
            ours = os.fstat(self._descriptor)
            moved = (there.st_ino, there.st_dev) != (ours.st_ino, ours.st_dev)
        except FileNotFoundError:
            moved = True
        except OSError:
            return
        if moved:
            # If that fails, keep writing to the old file.
            with contextlib.suppress(OSError):
                self.reopen()

    def _write(self, level: int, text: str, values: dict[str, object]) -> None:
        self._follow_rotation()
        line = self._line(self._time(time.time()), self.role, LEVELS[level], text, values)
        if self._unfinished:
            self._unfinished = False
            line = f"\r{_ERASE}{line}"
        self._put(line)
        if self._syslog is not None:
            self._syslog.write(level, _one_line(text) + _named(values))

    def _put(self, text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(self._descriptor, text.encode("utf-8", "backslashreplace"))


def _frames_alone(error: BaseException) -> list[str]:
    """A traceback without the exceptions' texts: those of which a group consists, or what came before, are named."""
    frames = traceback.format_tb(error.__traceback__)
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        frames = [*_frames_alone(before), f"{type(before).__name__}, and then:\n", *frames]
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            frames += [f"{type(part).__name__}:\n", *_frames_alone(part)]
    return frames


def _text_line(stamp: str | int, _role: str, level: str, text: str, values: dict[str, object]) -> str:
    return f"{stamp} {level:7} pid {os.getpid()}  {_one_line(text)}{_named(values)}\n"


def _logfmt_line(stamp: str | int, role: str, level: str, text: str, values: dict[str, object]) -> str:
    """The line as Valkey writes it, with the event's own values at the end."""
    head = f'pid={os.getpid()} role={role} timestamp="{stamp}" level={level}'
    return f"{head} message={json.dumps(text[:TEXT_MAX])}{_named(values)}\n"


def _json_line(stamp: str | int, _role: str, level: str, text: str, values: dict[str, object]) -> str:
    """The standard fields come first and take precedence over values of the same name."""
    event: dict[str, object] = {"time": stamp, "level": level, "pid": os.getpid(), "message": text[:TEXT_MAX]}
    for name, value in values.items():
        plain = isinstance(value, bool | int | float) or value is None
        event.setdefault(name, value if plain else _shown(value))
    return json.dumps(event) + "\n"


_FORMS: Final = {"text": _text_line, "json": _json_line, "logfmt": _logfmt_line}


def _date_and_time(now: float) -> str:
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(now))}.{int(now * 1000) % 1000:03d}"


def _iso_time(now: float) -> str:
    zone = time.strftime("%z", time.localtime(now))
    return f"{_date_and_time(now).replace(' ', 'T')}{zone[:3]}:{zone[3:]}"


def _milliseconds(now: float) -> int:
    return int(now * 1000)


_TIMES: Final[dict[str, Callable[[float], str | int]]] = {"iso8601": _iso_time, "milliseconds": _milliseconds}


def _named(values: dict[str, object]) -> str:
    return "".join(f" {name}={_word(_shown(value))}" for name, value in values.items())


def _shown(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value[:TEXT_MAX]).decode("utf-8", "backslashreplace")
    return str(value)[:TEXT_MAX]


def _one_line(text: str) -> str:
    """The text with all non-printable characters escaped."""
    text = text[:TEXT_MAX]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _word(text: str) -> str:
    """The text unchanged if it is one plain word, otherwise quoted and escaped."""
    if text.isascii() and text.isprintable() and text and not set(text) & {" ", '"', "=", "\\"}:
        return text
    return json.dumps(text)


def _has_descriptor() -> bool:
    """Whether standard output is a real file, which a host program (or a test) may have replaced."""
    try:
        sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return False
    return True
