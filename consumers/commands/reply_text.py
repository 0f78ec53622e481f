"""A server's reply as lines for a terminal, numbered and indented, or as plain values for a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

from coredis.exceptions import RedisError, UnknownCommandError
from coredis.parser import Parser

from consumers.commands.running import printable

__all__ = ["error_text", "plain_lines", "shown_lines"]

STATES = frozenset({b"OK", b"PONG", b"QUEUED"})
"""Written without quotes, as what they nearly always are: a command's own answer, not a value."""


CODES = {kind: code for code, kind in Parser.EXCEPTION_CLASSES.items() if isinstance(kind, type)}
"""The codes that coredis removes from the texts of errors, and says by their classes."""


def error_text(error: RedisError) -> str:
    """Return an error reply as the server has sent it."""
    text = str(error)
    code = CODES.get(type(error))
    if code is None and (type(error) is UnknownCommandError or not text.partition(" ")[0].isupper()):
        code = "ERR"
    return f"{code} {text}" if code else text


def shown_lines(reply: Any) -> Iterator[str]:
    """Yield the lines for a person: texts in quotes, elements with their numbers, errors and nulls marked."""
    if isinstance(reply, Mapping):
        yield from _members([(key, value) for key, value in reply.items()], "(empty map)", _pair)
    elif isinstance(reply, list | tuple | Set):
        yield from _members(list(reply), "(empty)", shown_lines)
    elif isinstance(reply, RedisError):
        yield f"(error) {printable(error_text(reply))}"
    elif reply is None:
        yield "(nil)"
    elif isinstance(reply, bool):
        yield "(true)" if reply else "(false)"
    elif isinstance(reply, int):
        yield f"(integer) {reply}"
    elif isinstance(reply, float):
        yield f"(double) {reply:.17g}"
    elif reply in STATES:
        yield reply.decode()
    else:
        yield f'"{_escaped(reply)}"'


def _members(members: list[Any], empty: str, lines: Any) -> Iterator[str]:
    if not members:
        yield empty
    width = len(str(len(members)))
    for number, member in enumerate(members, 1):
        mark = f"{number:>{width}}) "
        for line in lines(member):
            yield mark + line
            mark = " " * len(mark)


def _pair(pair: tuple[Any, Any]) -> Iterator[str]:
    key, value = pair
    mark = " / ".join(shown_lines(key)) + " => "
    for line in shown_lines(value):
        yield mark + line
        mark = " " * len(mark)


def _escaped(value: bytes | str) -> str:
    """Escape what would end a quoted text, and what can't be printed."""
    data = value.encode() if isinstance(value, str) else value
    return printable(data.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))


def plain_lines(reply: Any) -> Iterator[str]:
    """Yield a line for each value, as it is, for a program that reads them."""
    if isinstance(reply, Mapping):
        for key, value in reply.items():
            yield from plain_lines(key)
            yield from plain_lines(value)
    elif isinstance(reply, list | tuple | Set):
        for member in reply:
            yield from plain_lines(member)
    elif reply is None:
        yield ""
    elif isinstance(reply, RedisError):
        yield error_text(reply)
    elif isinstance(reply, bytes):
        yield reply.decode("utf-8", "backslashreplace")
    elif isinstance(reply, float):
        yield f"{reply:.17g}"
    else:
        yield str(int(reply) if isinstance(reply, bool) else reply)
