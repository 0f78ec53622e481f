"""What the script debugger shows: its help, and replies as people read them. The texts are Redis's."""

from __future__ import annotations

import re
from typing import Final

HELP: Final = (
    b"Redis Lua debugger help:",
    b"[h]elp               Show this help.",
    b"[s]tep               Run current line and stop again.",
    b"[n]ext               Alias for step.",
    b"[c]ontinue           Run till next breakpoint.",
    b"[l]ist               List source code around current line.",
    b"[l]ist [line]        List source code around [line].",
    b"                     line = 0 means: current position.",
    b"[l]ist [line] [ctx]  In this form [ctx] specifies how many lines",
    b"                     to show before/after [line].",
    b"[w]hole              List all source code. Alias for 'list 1 1000000'.",
    b"[p]rint              Show all the local variables.",
    b"[p]rint <var>        Show the value of the specified variable.",
    b"                     Can also show global vars KEYS and ARGV.",
    b"[b]reak              Show all breakpoints.",
    b"[b]reak <line>       Add a breakpoint to the specified line.",
    b"[b]reak -<line>      Remove breakpoint from the specified line.",
    b"[b]reak 0            Remove all breakpoints.",
    b"[t]race              Show a backtrace.",
    b"[e]val <code>        Execute some Lua code (in a different callframe).",
    b"[r]edis <cmd>        Execute a Redis command.",
    b"[m]axlen [len]       Trim logged Redis replies and Lua var dumps to len.",
    b"                     Specifying zero as <len> means unlimited.",
    b"[a]bort              Stop the execution of the script. In sync",
    b"                     mode dataset changes will be retained.",
    b"",
    b"Debugger functions you can call from Lua scripts:",
    b"redis.debug()        Produce logs in the debugger console.",
    b"redis.breakpoint()   Stop execution like if there was a breakpoint in the",
    b"                     next line of code.",
)

_INTEGER: Final = re.compile(rb"\s*([+-]?\d+)")
_ESCAPED: Final = {ord("\\"): b"\\\\", ord('"'): b'\\"', 7: b"\\a", 8: b"\\b", 9: b"\\t", 10: b"\\n", 13: b"\\r"}
_BYTES: Final = [_ESCAPED.get(i, b"%c" % i if 32 <= i < 127 else b"\\x%02x" % i) for i in range(256)]


def leading_integer(text: bytes) -> int:
    """The number that a text begins with, 0 where there is none."""
    found = _INTEGER.match(text)
    return int(found[1]) if found else 0


def quoted(text: bytes) -> bytes:
    """A text in quotes, with what can't be printed escaped."""
    return b'"%b"' % b"".join([_BYTES[byte] for byte in text])


def readable_reply(reply: bytes) -> bytes:
    """An encoded reply in one line."""
    return _readable(reply, 0)[0]


def _readable(reply: bytes, at: int) -> tuple[bytes, int]:
    """The reply from this place on, and where the next one begins."""
    end = reply.find(b"\r\n", at)
    kind = reply[at : at + 1]
    line = reply[at:end]
    after = end + 2
    if kind == b":":
        return line[1:], after
    if kind in (b"+", b"-"):
        return quoted(line), after
    if kind == b"_":
        return b"(null)", after
    if kind == b",":
        return b"(double) " + line[1:], after
    if kind == b"#":
        return b"#true" if line == b"#t" else b"#false", after
    if kind not in (b"$", b"*", b"~", b"%"):
        return b"", len(reply)  # Redis shows nothing of any other
    count = int(line[1:])
    if count < 0:
        return b"NULL", after
    if kind == b"$":
        return quoted(reply[after : after + count]), after + count + 2
    return _readable_parts(reply, after, kind, count)


def _readable_parts(reply: bytes, at: int, kind: bytes, count: int) -> tuple[bytes, int]:
    parts = []
    for _ in range(count):
        part, at = _readable(reply, at)
        if kind == b"%":
            value, at = _readable(reply, at)
            part = b"%b => %b" % (part, value)
        parts.append(part)
    opening, closing = {b"*": (b"[", b"]"), b"~": (b"~(", b")"), b"%": (b"{", b"}")}[kind]
    return opening + b",".join(parts) + closing, at
