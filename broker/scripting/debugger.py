"""One session of the script debugger: what its client asks while a script stands still, and what it is told.

The dialogue is Redis's: the client sends commands as arrays of bulk strings and gets an array of status strings for
each. While the script stands still, Lua calls `stopped` and then `next`, which return what only Lua can do (show a
variable, evaluate code, go on); everything else is done here.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from broker.clients.transport import Channel
from broker.scripting.debugger_texts import HELP, leading_integer, readable_reply
from protocol.replies import array_header

MAX_BREAKPOINTS: Final = 64
AROUND: Final = 5
"""Lines of the source that `list` shows before and after one."""

ALL_LINES: Final = 1_000_000
MAX_LENGTH: Final = 256
"""Bytes of a value or reply that are shown unless `maxlen` says otherwise, and the least that it can say."""
LEAST_LENGTH: Final = 60
SHOWN_WORDS: Final = 10
"""Words of a call that are shown."""

MAX_BUFFER: Final = 1 << 20
MAX_WORDS: Final = 1024
MAX_WORD: Final = 1024

PROTOCOL_ERROR: Final = b"protocol error"
ABORTED: Final = b"script aborted for user request"
UNKNOWN: Final = b"<error> Unknown Redis Lua debugger command or wrong number of arguments."
TRIMMED: Final = b"<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming."

# What Lua is asked to do.
STEP: Final = b"step"
CONTINUE: Final = b"continue"
GONE: Final = b"gone"
ABORT: Final = b"abort"
LOCALS: Final = b"locals"
VARIABLE: Final = b"variable"
TRACE: Final = b"trace"
EVALUATE: Final = b"evaluate"

Action = tuple[bytes, bytes, int]
"""What Lua is to do, with what, and the number of bytes of a value that are worth making; 0 for all."""


class Debugger:
    """A session with the client behind `channel` about a script's source.

    `call(words)` executes a command for the script; it returns the encoded reply, and whether the command was refused
    before it was executed. `is_stepping` says that the script goes on to its next line only, so that calls are shown.
    """

    def __init__(self, channel: Channel, source: bytes, call: Callable[[list[bytes]], tuple[bytes, bool]]) -> None:
        self._channel = channel
        self._call = call
        text = source.rstrip(b"\r\n")
        self._source = text.split(b"\n") if text else []
        self._breakpoints: list[int] = []
        self._lines: list[bytes] = []
        self._max_length = MAX_LENGTH
        self._hint_given = False
        self._line = 0
        self.is_stepping = True
        self.started = monotonic()

    # What Lua calls

    def stopped(self, line: int, reason: bytes) -> Action:
        """The script stands still before a line; returns what Lua is to do first."""
        self._line = line
        self.is_stepping = False
        self.log(b"* Stopped at %d, stop reason = %b" % (line, reason))
        self._log_source(line)
        self._send()
        return self.next()

    def next(self) -> Action:
        """Do what the client wants until that is Lua's to do."""
        self._send_if_any()
        while True:
            try:
                words = self._read()
            except ValueError as problem:
                return ABORT, str(problem).encode(), 0
            if words is None:
                self.is_stepping = False
                self._breakpoints.clear()
                return GONE, b"", 0
            action = self._obey(words)
            if action is not None:
                if action[0] in (STEP, CONTINUE):
                    self.started = monotonic()
                return action
            self._send()

    def done(self) -> Action:
        """Send what Lua has shown, and go on."""
        self._send()
        return self.next()

    def log(self, text: bytes) -> None:
        """Add a line to what is sent next."""
        self._lines.append(text.replace(b"\r", b" ").replace(b"\n", b" "))

    def log_value(self, text: bytes) -> None:
        """Likewise, trimmed to the length that the client wants."""
        most = self._max_length
        if most and len(text) > most:
            self.log(text[:most] + b" ...")
            if not self._hint_given:
                self._hint_given = True
                self.log(TRIMMED)
        else:
            self.log(text)

    def log_call(self, words: list[bytes]) -> None:
        """Show what the script calls."""
        shown = b" ".join(words[:SHOWN_WORDS])
        if len(words) > SHOWN_WORDS:
            shown += b" ... (%d more)" % (len(words) - SHOWN_WORDS - 1)  # one too few, as in Redis
        self.log(b"<redis> " + shown)

    def log_reply(self, reply: bytes, was_refused: bool) -> None:
        """Show the reply to a call, which for a refused one is only an error."""
        if reply.startswith(b"-"):
            text = reply[:-2]
            self.log(b"<error> " + (text[5:] if was_refused and text.startswith(b"-ERR ") else text))
        if not was_refused:
            self.log_value(b"<reply> " + readable_reply(reply))

    # The dialogue's end

    def end(self) -> None:
        """Tell the client that the script has ended."""
        self.log(b"<endsession>")
        self._send()

    # Talking

    def _send_if_any(self) -> None:
        if self._lines:
            self._send()

    def _send(self) -> None:
        lines, self._lines = self._lines, []
        self._channel.send(array_header(len(lines)) + b"".join([b"+%b\r\n" % line for line in lines]))

    def _read(self) -> list[bytes] | None:
        """The client's next command; None where it is gone. Raises ValueError where it is malformed.

        What has come behind the command is dropped, as in Redis: the client has not seen the answer yet.
        """
        received = b""
        while True:
            data = self._channel.receive()
            if not data:
                return None
            received += data
            words = parse(received)
            if words is not None:
                return words
            if len(received) > MAX_BUFFER:
                raise ValueError("max client buffer reached")

    # Commands

    def _obey(self, words: list[bytes]) -> Action | None:
        """Do a command; returns what Lua must do for it, None if nothing is left."""
        name = words[0].lower()
        given = words[1:]
        action: Action | None = None
        if name in (b"s", b"step", b"n", b"next"):
            self.is_stepping = True
            action = STEP, self._breakpoints_for_lua(), 0
        elif name in (b"c", b"continue"):
            action = CONTINUE, self._breakpoints_for_lua(), 0
        elif name in (b"a", b"abort"):
            action = ABORT, ABORTED, 0
        elif name in (b"t", b"trace"):
            action = TRACE, b"", 0
        elif name in (b"p", b"print"):
            action = (VARIABLE, given[0], self._max_length) if len(given) == 1 else (LOCALS, b"", self._max_length)
        elif name in (b"e", b"eval"):
            action = EVALUATE, b" ".join(given), self._max_length
        else:
            self._answer(name, given)
        return action

    def _answer(self, name: bytes, given: list[bytes]) -> None:
        if name in (b"h", b"help"):
            for line in HELP:
                self.log(line)
        elif name in (b"l", b"list"):
            self._list(leading_integer(given[0]) if given else 0, leading_integer(given[1]) if given[1:] else AROUND)
        elif name in (b"w", b"whole"):
            self._list(1, ALL_LINES)
        elif name in (b"b", b"break"):
            self._break(given)
        elif name in (b"m", b"maxlen"):
            self._set_max_length(given)
        elif name in (b"r", b"redis") and given:
            self.log_call(given)
            self.log_reply(*self._call(given))
        else:
            self.log(UNKNOWN)

    def _breakpoints_for_lua(self) -> bytes:
        return b" ".join([b"%d" % line for line in self._breakpoints])

    def _set_max_length(self, given: list[bytes]) -> None:
        if len(given) == 1:
            length = leading_integer(given[0])
            self._hint_given = True
            self._max_length = max(length, LEAST_LENGTH) if length else 0
        if self._max_length:
            self.log(b"<value> replies are truncated at %d bytes." % self._max_length)
        else:
            self.log(b"<value> replies are unlimited.")

    # The source

    def log_frame(self, text: bytes, line: int) -> None:
        """Show a function that is running, and its line."""
        self.log(text)
        self._log_source(line)

    def _log_source(self, line: int) -> None:
        is_there = 0 < line <= len(self._source)
        text = self._source[line - 1] if is_there else b"<out of range source code line>"
        current = b"->" if line == self._line else b"  "
        stops = b"#" if line in self._breakpoints else b" "
        self.log(b"%b%b%-3d %b" % (current, stops, line, text))

    def _list(self, around: int, context: int) -> None:
        around = around or self._line
        for line in range(1, len(self._source) + 1):
            if abs(around - line) <= context:
                self._log_source(line)

    def _break(self, given: list[bytes]) -> None:
        if not given:
            self._show_breakpoints()
        for word in given:
            if not word.removeprefix(b"-").isdigit():
                self.log(b"Invalid argument:'%b'" % word)
                continue
            line = int(word)
            if not line:
                self._breakpoints.clear()
                self.log(b"All breakpoints removed.")
            elif line > 0:
                self._add_breakpoint(line)
            elif -line in self._breakpoints:
                self._breakpoints.remove(-line)
                self.log(b"Breakpoint removed.")
            else:
                self.log(b"No breakpoint in the specified line.")

    def _show_breakpoints(self) -> None:
        if not self._breakpoints:
            self.log(b"No breakpoints set. Use 'b <line>' to add one.")
            return
        self.log(b"%d breakpoints set:" % len(self._breakpoints))
        for line in self._breakpoints:
            self._log_source(line)

    def _add_breakpoint(self, line: int) -> None:
        if len(self._breakpoints) == MAX_BREAKPOINTS:
            self.log(b"Too many breakpoints set.")
        elif line in self._breakpoints or line > len(self._source):
            self.log(b"Wrong line number.")
        else:
            self._breakpoints.append(line)
            self._list(line, 1)


def parse(data: bytes) -> list[bytes] | None:
    """The words of a command; None while it is not complete. Raises ValueError where it is malformed."""
    if not data.startswith(b"*"):
        raise ValueError(PROTOCOL_ERROR.decode())
    line, found, _ = data.partition(b"\r\n")
    if not found:
        return None
    count = leading_integer(line[1:])
    if not 0 < count <= MAX_WORDS:
        raise ValueError(PROTOCOL_ERROR.decode())
    words = []
    at = len(line) + 2
    for _ in range(count):
        end = data.find(b"\r\n", at)
        if end < 0:
            return None
        size = leading_integer(data[at + 1 : end])
        if data[at : at + 1] != b"$" or not 0 < size <= MAX_WORD:
            raise ValueError(PROTOCOL_ERROR.decode())
        at = end + 2
        if len(data) < at + size + 2:
            return None
        words.append(data[at : at + size])
        at += size + 2
        if data[at - 2 : at] != b"\r\n":
            raise ValueError(PROTOCOL_ERROR.decode())
    return words
