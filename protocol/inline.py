"""Splits a line into arguments by Redis's quoting rules, for inline requests and redis.conf lines.

White space separates arguments. `"..."` supports the escapes `\\n \\r \\t \\b \\a \\xHH` and takes any other escaped
byte literally; `'...'` supports only `\\'`. A quote may open in the middle of an argument, but white space or the end
of the line must follow the closing one.
"""

from typing import Final

_BLANKS: Final = frozenset(b" \t\n\v\f\r")
_SEPARATORS: Final = frozenset(b" \t\n\r")  # end an argument: fewer than the blanks, as in Redis
_ESCAPES: Final = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_HEXADECIMAL: Final = frozenset(b"0123456789abcdefABCDEF")
_BACKSLASH: Final = ord("\\")
_SINGLE: Final = ord("'")
_DOUBLE: Final = ord('"')


def split_line(line: bytes) -> list[bytes] | None:
    """Return the arguments of a line, given without its line end; None for unbalanced quotes."""
    if b'"' not in line and b"'" not in line and b"\v" not in line and b"\f" not in line:
        return line.split()
    arguments: list[bytes] = []
    pos, size = 0, len(line)
    while True:
        while pos < size and line[pos] in _BLANKS:
            pos += 1
        if pos == size:
            return arguments
        argument = bytearray()
        end = _argument(line, pos, argument)
        if end is None:
            return None
        arguments.append(bytes(argument))
        pos = end


def _argument(line: bytes, pos: int, argument: bytearray) -> int | None:
    """Append the argument that starts at `pos` and return the position after it; None for unbalanced quotes."""
    size = len(line)
    while pos < size:
        byte = line[pos]
        if byte in _SEPARATORS:
            return pos
        pos += 1
        if byte != _SINGLE and byte != _DOUBLE:
            argument.append(byte)
            continue
        end = _double_quoted(line, pos, argument) if byte == _DOUBLE else _single_quoted(line, pos, argument)
        return end if end is not None and (end == size or line[end] in _BLANKS) else None
    return pos


def _double_quoted(line: bytes, pos: int, argument: bytearray) -> int | None:
    """Append the double-quoted text that starts at `pos` and return the position after the closing quote, None if
    there is none."""
    size = len(line)
    while pos < size:
        byte = line[pos]
        pos += 1
        if byte == _DOUBLE:
            return pos
        if byte == _BACKSLASH and pos < size:
            byte = line[pos]
            code = line[pos + 1 : pos + 3]
            if byte == ord("x") and len(code) == 2 and code[0] in _HEXADECIMAL and code[1] in _HEXADECIMAL:
                byte = int(code, 16)
                pos += 2
            else:
                byte = _ESCAPES.get(byte, byte)
            pos += 1
        argument.append(byte)
    return None


def _single_quoted(line: bytes, pos: int, argument: bytearray) -> int | None:
    """The same for single quotes."""
    size = len(line)
    while pos < size:
        byte = line[pos]
        pos += 1
        if byte == _SINGLE:
            return pos
        if byte == _BACKSLASH and line[pos : pos + 1] == b"'":
            byte = _SINGLE
            pos += 1
        argument.append(byte)
    return None
