"""Reading a value from runs of texts, so that a large one can be read in pieces.

Reading a million elements takes half a second or more. Whoever loads a file answers clients after each piece.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any, Final

from broker.formats.rdb.packed_values import decode_listpack, duplicate, empty, listpack_runs
from broker.formats.rdb.reader import Reader

PIECE: Final = 960
"""Texts in a piece, half a millisecond's work. Values, pairs and triples of texts end at its end."""

_SHORT: Final = 1 << 14
"""Bytes of a packed value that is decoded at once."""


class Steps:
    """A value that takes too long to read at once.

    `steps` reads it: it yields the reader's offset after each piece, and returns the value.
    """

    __slots__ = ("steps",)

    def __init__(self, steps: Generator[int, None, Any]) -> None:
        self.steps = steps


class Form:
    """How a kind of value is made of texts.

    `make()` returns an empty one, and `fill(reader, value, texts)` adds to it; `group` texts are an element, and
    `incomplete` says what is wrong if some are missing.
    """

    __slots__ = ("fill", "group", "incomplete", "make")

    def __init__(
        self,
        make: Callable[[], Any],
        fill: Callable[[Reader, Any, list[bytes]], None],
        group: int = 1,
        incomplete: str = "",
    ) -> None:
        self.make = make
        self.fill = fill
        self.group = group
        self.incomplete = incomplete


def finish(value: Any) -> Any:
    """Returns a value, reading it first if it is Steps."""
    if value.__class__ is not Steps:
        return value
    steps = value.steps
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def in_steps(count: int, steps: Generator[int, None, Any]) -> Any:
    """Returns Steps for a value of many elements; reads any other."""
    value = Steps(steps)
    return value if count > PIECE else finish(value)


def read_plain(reader: Reader, form: Form) -> Any:
    """Reads the number of elements, and each as strings."""
    count = reader.length() * form.group
    if count > PIECE:
        return Steps(read_runs(reader, form, _string_runs(reader, count)))
    return read_texts(reader, form, reader.strings(count))


def _string_runs(reader: Reader, count: int) -> Iterator[list[bytes]]:
    while count:
        run = reader.strings(min(count, PIECE))
        count -= len(run)
        yield run


def read_packed(reader: Reader, form: Form) -> Any:
    """Reads a value that is a listpack."""
    blob = reader.string()
    if len(blob) > _SHORT:
        return Steps(read_runs(reader, form, listpack_runs(reader, blob, PIECE)))
    return read_texts(reader, form, decode_listpack(reader, blob))


def read_texts(reader: Reader, form: Form, texts: list[bytes]) -> Any:
    """Returns the value that has these texts, or Steps."""
    if len(texts) > PIECE:
        return Steps(read_runs(reader, form, _pieces(texts)))
    if len(texts) % form.group:
        raise reader.bad(form.incomplete)
    value = form.make()
    form.fill(reader, value, texts)
    return checked(reader, value, len(texts) // form.group)


def _pieces(texts: list[bytes]) -> Iterator[list[bytes]]:
    for at in range(0, len(texts), PIECE):
        yield texts[at : at + PIECE]


def read_runs(reader: Reader, form: Form, runs: Iterator[list[bytes]]) -> Generator[int, None, Any]:
    """Reads a value run by run; see Steps."""
    value = form.make()
    count = 0
    for run in runs:
        if len(run) % form.group:
            raise reader.bad(form.incomplete)
        form.fill(reader, value, run)
        count += len(run) // form.group
        yield reader.offset
    return checked(reader, value, count)


def checked(reader: Reader, value: Any, count: int) -> Any:
    """Returns a value that was made of `count` elements, if it has as many."""
    if not count:
        raise empty(reader)
    if len(value) != count:
        raise duplicate(reader)
    return value
