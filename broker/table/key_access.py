"""What a command with given arguments does with each of its keys.

The key specifications say what may happen to a key in general; for a few commands the options decide (SET with GET also
reads the key). COMMAND GETKEYSANDFLAGS returns this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from broker.table.command import ACCESS, DELETE, INCOMPLETE, NOT_KEY, OW, RM, RO, RW, UPDATE, VARIABLE_FLAGS, Command

Flags = tuple[str, ...]

_CONDITIONS: Final = frozenset({b"IFEQ", b"IFNE", b"IFDEQ", b"IFDNE"})


def keys_and_access(command: Command, args: list[bytes]) -> list[tuple[int, Flags]]:
    """The position of each key in `args`, with flags for what is done to it; [] if no key can be found."""
    decide = DECIDED_BY_OPTIONS.get(command.name)
    if decide is not None:
        return [(position, decide(args)) for position in command.key_positions(args)]
    declared: dict[int, Flags] = {}
    for spec in reversed(command.key_specs):
        if NOT_KEY not in spec.flags:
            declared.update(dict.fromkeys(spec.positions(args), _definite(spec.flags)))
    # A key that only the command's own function finds is not described by any specification.
    unknown = [spec.flags for spec in command.key_specs if spec.unknown] or [spec.flags for spec in command.key_specs]
    usual = _definite(min(unknown, key=lambda flags: flags[0] != OW)) if unknown else ()
    return [(position, declared.get(position, usual)) for position in command.key_positions(args)]


def _definite(flags: Sequence[str]) -> Flags:
    return tuple(flag for flag in flags if flag not in (INCOMPLETE, VARIABLE_FLAGS))


def _set(args: list[bytes]) -> Flags:
    options = {argument.upper() for argument in args[3:]}
    if b"GET" in options:
        return (RW, ACCESS, UPDATE)
    return (RW, UPDATE) if options & _CONDITIONS else (OW, UPDATE)


def _delex(args: list[bytes]) -> Flags:
    conditional = any(argument.upper() in _CONDITIONS for argument in args[2:])
    return (RW, DELETE) if conditional else (RM, DELETE)


def _bitfield(args: list[bytes]) -> Flags:
    """Read-only if all operations are GETs; anything that can't be parsed may write."""
    at = 2
    while at < len(args):
        word = args[at].upper()
        if word == b"GET" and at + 2 < len(args):
            at += 3
        elif word == b"OVERFLOW" and at + 1 < len(args):
            at += 2
        else:
            return (RW, ACCESS, UPDATE)
    return (RO, ACCESS)


DECIDED_BY_OPTIONS: Final[dict[bytes, Callable[[list[bytes]], Flags]]] = {
    b"set": _set,
    b"delex": _delex,
    b"bitfield": _bitfield,
}
"""The commands whose options decide what is done to their key."""
