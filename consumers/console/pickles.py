"""Reads what a pickle says without doing what it says.

Python's unpickler imports and calls whatever a pickle names, so one that a stranger wrote runs the stranger's code. Job
libraries store arguments as pickles, and these must be shown. Here the opcodes are followed as data only: lists, dicts,
numbers and text become what they are, and everything that would be imported or called becomes an Opaque, which has the
name and the arguments.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MAX_BYTES", "MAX_STEPS", "Opaque", "is_plain", "read"]

MAX_BYTES = 1 << 20
"""Longer pickles are not read."""

MAX_STEPS = 200_000
"""Opcodes that are followed, about a second's worth."""


@dataclass(eq=False, slots=True)
class Opaque:
    """Something that unpickling would have imported or called. arguments: None if it was only named."""

    name: str
    arguments: tuple[object, ...] | None = None
    state: object = None
    items: list[object] = field(default_factory=list)
    """What unpickling would have added to it: the elements of a list, or pairs of a mapping."""


class _Mark:
    pass


def read(data: bytes) -> Any:
    """Return the value in a pickle. Raises ValueError for what is no pickle, is damaged, or is too long."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"a pickle of {len(data)} bytes is not read")
    reader = _Reader()
    try:
        for steps, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if steps >= MAX_STEPS:
                raise ValueError("a pickle of too many steps is not read")
            if opcode.name == "STOP":
                return reader.stack.pop()
            reader.follow(opcode.name, argument)
    except (IndexError, KeyError, TypeError, RecursionError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"a damaged pickle: {error}") from None
    raise ValueError("a pickle without an end")


class _Reader:
    """The stack and the memo of the machine that a pickle is a program for."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, object] = {}

    def follow(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self.stack.append(argument)
        elif name in _MADE:
            self.stack.append(_MADE[name]())
        elif name in _PUT:
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self.stack[-1]
        elif name in _GOT:
            self.stack.append(self.memo[argument])
        elif name not in _IGNORED:
            step = _STEPS.get(name)
            if step is None:
                raise ValueError(f"a pickle with {name}, which is not read")
            step(self, argument)

    def since_mark(self) -> list[Any]:
        """Take what is above the topmost mark, and the mark."""
        for index in range(len(self.stack) - 1, -1, -1):
            if isinstance(self.stack[index], _Mark):
                taken = self.stack[index + 1 :]
                del self.stack[index:]
                return taken
        raise IndexError("no mark")

    def add(self, items: list[Any]) -> None:
        """Add elements to the collection on top."""
        target = self.stack[-1]
        if isinstance(target, list):
            target += items
        elif isinstance(target, set):
            target |= {_key(item) for item in items}
        elif isinstance(target, Opaque):
            target.items += items
        else:
            raise TypeError("elements for what has none")

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        pairs = list(zip(items[::2], items[1::2], strict=False))
        if isinstance(target, dict):
            target.update((_key(key), value) for key, value in pairs)
        elif isinstance(target, Opaque):
            target.items += pairs
        else:
            raise TypeError("pairs for what has none")

    def call(self, target: object, arguments: object, named: Mapping[str, object] | None = None) -> None:
        given = arguments if isinstance(arguments, tuple) else (arguments,)
        if named:
            given = (*given, dict(named))
        self.stack.append(Opaque(target.name if isinstance(target, Opaque) else type(target).__name__, given))


def _key(value: object) -> Any:
    """A value as the key of a dict."""
    try:
        hash(value)
    except TypeError:
        return Opaque("unhashable", (value,))
    return value


def _tuple(reader: _Reader, size: int) -> None:
    if len(reader.stack) < size:
        raise IndexError("a tuple of more than there is")
    items = tuple(reader.stack[-size:])
    del reader.stack[-size:]
    reader.stack.append(items)


def _dict(reader: _Reader) -> None:
    items = reader.since_mark()
    reader.stack.append({})
    reader.set_items(items)


def _reduce(reader: _Reader, argument: object) -> None:
    arguments = reader.stack.pop()
    reader.call(reader.stack.pop(), arguments)


def _new_with_names(reader: _Reader, argument: object) -> None:
    named, arguments = reader.stack.pop(), reader.stack.pop()
    reader.call(reader.stack.pop(), arguments, named)


def _from_stack(reader: _Reader, argument: object) -> None:
    name, module = reader.stack.pop(), reader.stack.pop()
    reader.stack.append(Opaque(f"{module}.{name}"))


def _global(reader: _Reader, argument: str) -> None:
    reader.stack.append(Opaque(argument.replace(" ", ".", 1)))


def _instance(reader: _Reader, argument: str) -> None:
    items = reader.since_mark()
    reader.stack.append(Opaque(argument.replace(" ", ".", 1), tuple(items)))


def _object(reader: _Reader, argument: object) -> None:
    target, *items = reader.since_mark()
    reader.call(target, tuple(items))


def _build(reader: _Reader, argument: object) -> None:
    state = reader.stack.pop()
    if not isinstance(target := reader.stack[-1], Opaque):
        raise TypeError("a state for what has none")
    target.state = state


def _two(reader: _Reader) -> list[Any]:
    value, key = reader.stack.pop(), reader.stack.pop()
    return [key, value]


_PUSHED = frozenset((
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING", "SHORT_BINSTRING",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
    "BINUNICODE8", "FLOAT", "BINFLOAT",
))  # fmt: skip
_MADE: dict[str, Callable[[], object]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "MARK": _Mark,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set,
}  # fmt: skip
_PUT = frozenset(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"))
_GOT = frozenset(("GET", "BINGET", "LONG_BINGET"))
_IGNORED = frozenset(("PROTO", "FRAME"))
_STEPS: dict[str, Callable[[_Reader, Any], object]] = {
    "APPEND": lambda reader, _: reader.add([reader.stack.pop()]),
    "APPENDS": lambda reader, _: reader.add(reader.since_mark()),
    "ADDITEMS": lambda reader, _: reader.add(reader.since_mark()),
    "SETITEM": lambda reader, _: reader.set_items(_two(reader)),
    "SETITEMS": lambda reader, _: reader.set_items(reader.since_mark()),
    "LIST": lambda reader, _: reader.stack.append(reader.since_mark()),
    "TUPLE": lambda reader, _: reader.stack.append(tuple(reader.since_mark())),
    "TUPLE1": lambda reader, _: _tuple(reader, 1),
    "TUPLE2": lambda reader, _: _tuple(reader, 2),
    "TUPLE3": lambda reader, _: _tuple(reader, 3),
    "DICT": lambda reader, _: _dict(reader),
    "FROZENSET": lambda reader, _: reader.stack.append(frozenset(map(_key, reader.since_mark()))),
    "POP": lambda reader, _: reader.stack.pop(),
    "POP_MARK": lambda reader, _: reader.since_mark(),
    "DUP": lambda reader, _: reader.stack.append(reader.stack[-1]),
    "GLOBAL": _global,
    "STACK_GLOBAL": _from_stack,
    "INST": _instance,
    "OBJ": _object,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_names,
    "BUILD": _build,
    "PERSID": lambda reader, argument: reader.stack.append(Opaque("persistent", (argument,))),
    "BINPERSID": lambda reader, _: reader.stack.append(Opaque("persistent", (reader.stack.pop(),))),
    "EXT1": lambda reader, argument: reader.stack.append(Opaque(f"extension {argument}")),
    "EXT2": lambda reader, argument: reader.stack.append(Opaque(f"extension {argument}")),
    "EXT4": lambda reader, argument: reader.stack.append(Opaque(f"extension {argument}")),
}


def is_plain(value: object, limit: int = 10_000) -> bool:
    """Whether a value is data through and through: nothing opaque, no sharing without end, at most `limit` parts."""
    left, open = limit, [value]
    while open:
        one = open.pop()
        left -= 1
        if left < 0 or isinstance(one, Opaque):
            return False
        if isinstance(one, dict):
            open += one.keys()
            open += one.values()
        elif isinstance(one, list | tuple | set | frozenset):
            open += one
    return True
