"""redis.conf files and redis-server's command line.

Both are the same language: `--port 6380` is the line `port 6380`, read after the file, and the last value of a
directive wins. An error prevents the start, and is reported in one line that says where and what it is.
"""

import glob
import os
from collections.abc import Sequence, Set
from typing import Any, BinaryIO

from broker.config.directives import BY_NAME, FORGOTTEN, TABLE
from broker.config.kinds import Directive, bytes_of, quoted, text_of
from broker.config.live import Config
from broker.process.suggesting import suggestion
from protocol.inline import split_line

# Files may include files; without a limit, one that includes itself would never end.
INCLUDE_DEPTH_MAX = 16

COMMAND_LINE = "command line"
NO_SENTINEL = "sentinel mode is not supported"
STANDARD_INPUT = "standard input"


class ConfigFileError(Exception):
    """A configuration that the broker can't start with; the message is one line for the operator."""

    def __init__(self, place: str, line: bytes, reason: str) -> None:
        shown = line.decode("utf-8", "backslashreplace")
        shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)
        about = f": '{shown}'" if line else ""
        super().__init__(f"*** FATAL CONFIG FILE ERROR *** {place}{about}: {reason}")
        self.reason = reason


def load(config: Config, arguments: Sequence[bytes] = (), stdin: BinaryIO | None = None) -> Set[str]:
    """Read a configuration as redis-server does: `[file] [--directive value ...]... [-]`.

    `-` as the first or last argument also reads stdin, after the file and before the arguments. Returns the names of
    what was set. Raises ConfigFileError.
    """
    reader = _Reader(config)
    arguments = list(arguments)
    from_stdin = False
    if arguments and not arguments[0].startswith(b"-"):
        path = os.path.abspath(text_of(arguments.pop(0)))
        reader.file(path)
        config.file = path
    elif arguments and arguments[0] == b"-":
        arguments.pop(0)
        from_stdin = True
    if arguments and arguments[-1] == b"-":
        arguments.pop()
        from_stdin = True
    if from_stdin and stdin is not None:
        reader.lines(stdin.read(), STANDARD_INPUT)
    for line in _argument_lines(arguments):
        reader.line(line, COMMAND_LINE)
    _check(config)
    return reader.names


def _argument_lines(arguments: Sequence[bytes]) -> list[bytes]:
    """The lines that the arguments represent.

    The argument after a directive is its value, whatever it looks like, so that `--requirepass --x` works; only
    `--save` may be given without one, meaning `save ""`.
    """
    lines: list[bytes] = []
    has_value = True
    last = len(arguments) - 1
    for at, argument in enumerate(arguments):
        if not (has_value and argument.startswith(b"--")):
            if not lines:
                lines.append(b"")
            lines[-1] += quoted(argument) + b" "
            has_value = True
            continue
        line = argument[2:] + b" "
        has_value = len(split_line(argument) or ()) != 1
        if argument.lower() == b"--save" and (at == last or arguments[at + 1].startswith(b"--")):
            line += b'""'
            has_value = True
        lines.append(line)
    return lines


class _Reader:
    """Applies configuration lines to a Config, one by one."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._seen: set[Directive[Any]] = set()
        self.names: set[str] = set()
        self._depth = 0

    def file(self, path: str) -> None:
        try:
            with open(path, "rb") as file:
                text = file.read()
        except OSError as error:
            raise ConfigFileError(path, b"", f"can't open config file: {error.strerror}") from None
        self.lines(text, path)

    def lines(self, text: bytes, source: str) -> None:
        for number, line in enumerate(text.split(b"\n"), 1):
            self.line(line, f"{source}:{number}")

    def line(self, line: bytes, place: str) -> None:
        line = line.strip(b" \t\r\n")
        if not line or line.startswith(b"#"):
            return
        words = split_line(line)
        if words is None:
            raise ConfigFileError(place, line, "Unbalanced quotes in configuration line")
        if not words:
            return
        try:
            self._words(words)
        except ValueError as error:
            raise ConfigFileError(place, line, str(error)) from None

    def _words(self, words: list[bytes]) -> None:
        name = text_of(words[0].lower())
        directive = BY_NAME.get(name)
        self.names.add(name if directive is None else directive.name)
        if directive is None:
            self._command(name, words)
            return
        values = words[1:]
        if not directive.several and len(values) != 1:
            raise ValueError("wrong number of arguments")
        if directive.several and len(values) == 1 and values[0]:
            split = split_line(values[0])
            if split is None:
                raise ValueError("Unbalanced quotes in configuration line")
            values = split
        attribute = directive.attribute
        current = getattr(self._config, attribute)
        setattr(self._config, attribute, directive.add(values, current, directive in self._seen))
        self._seen.add(directive)

    def _command(self, name: str, words: list[bytes]) -> None:
        """Process a line that is not a directive with a value. Raises ValueError."""
        if name == "include" and len(words) == 2:
            self._include(text_of(words[1]))
        elif name == "rename-command" and len(words) == 3:
            self._config.renamed_commands.append((words[1], words[2]))
        elif name == "user" and len(words) >= 2:
            self._config.users.append(words[1:])
        elif name == "loadmodule" and len(words) >= 2:
            raise ValueError("modules can't be loaded: this is not redis-server")
        elif name == "sentinel":
            raise ValueError(NO_SENTINEL)
        elif not (name in FORGOTTEN and len(words) == 2):
            known = {*BY_NAME, *FORGOTTEN, "include", "rename-command", "user"}
            meant = "" if name in known else suggestion(name, known)
            raise ValueError(f"Bad directive or wrong number of arguments{meant}")

    def _include(self, path: str) -> None:
        if self._depth == INCLUDE_DEPTH_MAX:
            raise ValueError("include nested too deeply")
        path = os.path.join(self._config.dir, path)
        # A pattern without a match includes nothing (an empty conf.d is fine), but a plain name must exist.
        paths = sorted(glob.glob(path)) if any(special in path for special in "*?[") else [path]
        self._depth += 1
        for found in paths:
            self.file(found)
        self._depth -= 1


def _check(config: Config) -> None:
    """Check what can be checked only once everything has been read. Raises ConfigFileError."""
    # Without the features that these ask for, the broker might let in clients that it shouldn't, or hold the only copy
    # of data meant to be replicated: that must not go unnoticed.
    for name, directive in TABLE.items():
        if problem := directive.unsupported(getattr(config, directive.attribute)):
            raise ConfigFileError(name, b"", problem)
    if config.logfile:
        try:
            with open(bytes_of(os.path.join(config.dir, config.logfile)), "ab"):
                pass
        except OSError as error:
            reason = f"Can't open the log file: {error.strerror}"
            raise ConfigFileError("logfile", bytes_of(config.logfile), reason) from None
