"""Commands of very many arguments, in pieces that have the same effect one after the other.

An RPUSH of a million elements takes a quarter of a second. While a file is being loaded no client can see what it has
done so far, so it is executed as many RPUSHes, and clients get their LOADING replies in between. This is right only for
commands that either fail as a whole, because of the key or of an argument, or do the same for each group of arguments.
"""

from collections.abc import Callable, Iterator
from typing import Final

from broker.values.streams.ids import parse_id
from protocol.numbers import parse_double

PIECE: Final = 1000
"""Groups of arguments in a piece, about a millisecond's work. A command of fewer arguments is not divided."""


def _first_of_add(args: list[bytes]) -> int:
    """Returns where ZADD's scores begin. INCR, which takes a single one, is not skipped: it is no score."""
    at = 2
    while at < len(args) and args[at].upper() in (b"NX", b"XX", b"GT", b"LT", b"CH"):
        at += 1
    return at


def _are_scores(args: list[bytes]) -> bool:
    return all(parse_double(text) is not None for text in args[::2])


def _are_ids(args: list[bytes]) -> bool:
    return all(parse_id(text) >= 0 for text in args)


def _anything(args: list[bytes]) -> bool:
    return True


class _Form:
    """The form of a command: `first(args)` is where groups of `group` arguments begin, `valid(args)` checks some."""

    __slots__ = ("first", "group", "valid")

    def __init__(
        self, first: Callable[[list[bytes]], int], group: int = 1, valid: Callable[[list[bytes]], bool] = _anything
    ) -> None:
        self.first = first
        self.group = group
        self.valid = valid


def _after(count: int) -> Callable[[list[bytes]], int]:
    return lambda args: count


_KEYS: Final = _Form(_after(1))
_ELEMENTS: Final = _Form(_after(2))
_FIELDS: Final = _Form(_after(2), 2)
_FORMS: Final = {
    b"del": _KEYS,
    b"unlink": _KEYS,
    b"mset": _Form(_after(1), 2),
    b"rpush": _ELEMENTS,
    b"lpush": _ELEMENTS,
    b"rpushx": _ELEMENTS,
    b"lpushx": _ELEMENTS,
    b"hset": _FIELDS,
    b"hmset": _FIELDS,
    b"hdel": _ELEMENTS,
    b"sadd": _ELEMENTS,
    b"srem": _ELEMENTS,
    b"zadd": _Form(_first_of_add, 2, _are_scores),
    b"zrem": _ELEMENTS,
    b"pfadd": _ELEMENTS,
    b"xdel": _Form(_after(2), 1, _are_ids),
    b"xack": _Form(_after(3), 1, _are_ids),
}


def pieces(name: bytes, args: list[bytes]) -> Iterator[list[bytes]]:
    """Yields commands that do the same as `args` in this order, unless the first one fails.

    `name` is the command's, in lower case. Empty lists are yielded while the arguments are being checked. A command
    that can't be divided is yielded as it is. `args` gets shorter meanwhile, since freeing all of it takes time too.
    """
    form = _FORMS.get(name)
    first = form.first(args) if form is not None else 0
    if form is None or (len(args) - first) % form.group:
        yield args
        return
    step = PIECE * form.group
    if form.valid is not _anything:
        for at in range(first, len(args), step):
            if not form.valid(args[at : at + step]):
                yield args
                return
            yield []
    begin = args[:first]
    args.reverse()
    del args[-first:]
    while args:
        part = args[-step:]
        del args[-step:]
        part.reverse()
        yield begin + part
