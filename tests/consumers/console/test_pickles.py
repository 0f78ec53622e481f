"""What pickles say, without a thing of it being done."""

import collections
import contextlib
import datetime
import decimal
import io
import os
import pickle
import uuid
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.console.pickles import MAX_BYTES, Opaque, is_plain, read

DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inside: (
        st.lists(inside) | st.dictionaries(st.text(), inside) | st.lists(inside).map(tuple) | st.sets(st.integers())
    ),
)


@settings(max_examples=40)
@given(DATA, st.integers(0, 5))
def test_plain_data_is_itself(value: Any, protocol: int) -> None:
    if protocol < 2 or (protocol == 2 and b"_codecs" in pickle.dumps(value, protocol)):
        # without opcodes of their own, bytes and sets are calls
        read(pickle.dumps(value, protocol))
        return
    found = read(pickle.dumps(value, protocol))
    if is_plain(found):
        assert found == value


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /tmp/never",)


def test_what_would_be_called_is_only_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pickles = [pickle.dumps([Evil(), 1], protocol) for protocol in range(6)]
    called: list[object] = []
    monkeypatch.setattr(os, "system", called.append)
    monkeypatch.setattr("posix.system", called.append)
    for data in pickles:
        found = read(data)
        assert found[0].name.endswith(".system") and found[0].arguments == ("touch /tmp/never",) and found[1] == 1
    assert not called


Point = collections.namedtuple("Point", "x y")


class Thing:
    def __init__(self) -> None:
        self.a = [1, 2]


def test_objects() -> None:
    found = read(pickle.dumps([
        Point(1, 2), datetime.date(2026, 1, 2), decimal.Decimal("1.5"), uuid.UUID(int=7), PurePosixPath("/a"), Thing(),
        collections.OrderedDict(a=1), collections.deque([1, 2]), frozenset([1]), ValueError("no"),
    ]))  # fmt: skip
    names = [getattr(one, "name", None) for one in found]
    assert names[0] == f"{__name__}.Point" and found[0].arguments == (1, 2)
    assert names[1:3] == ["datetime.date", "decimal.Decimal"]
    assert found[3].state == {"int": 7}
    assert found[5].state == {"a": [1, 2]}
    assert found[6].items == [("a", 1)] and found[7].items == [1, 2]
    assert found[8] == frozenset([1])
    assert names[9] == "builtins.ValueError" and found[9].arguments == ("no",)
    assert not is_plain(found) and is_plain([1, {"a": (b"", None)}])


def test_a_value_that_holds_itself() -> None:
    value: list[object] = []
    value.append(value)
    found = read(pickle.dumps(value))
    assert found[0] is found and not is_plain(found)


@pytest.mark.parametrize("data", [
    b"", b".", b"\x80\x05", b"\x80\x05K\x01", b"\x80\x05h\x07.", b"\x80\x05)R.", b"\x80\x05K\x01e.",
    b"\x80\x05X\xff\xff\xff\xff.", b"\x80\x05K\x01K\x02s.", b"\x80\x05]K\x01b.", b"\x80\x05\x97.", b"not one",
    b"\x80\x04\x95\x00",
])  # fmt: skip
def test_damaged_ones_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        read(data)


@given(st.binary(max_size=60))
def test_nothing_else_is_raised(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        read(b"\x80\x04" + data + b".")


def test_large_ones_are_refused() -> None:
    with pytest.raises(ValueError, match="is not read"):
        read(pickle.dumps(b"x" * MAX_BYTES))
    with pytest.raises(ValueError, match="too many steps"):
        read(b"\x80\x04" + b"N0" * 150_000 + b"N.")


def test_names_that_are_called_by_text() -> None:
    assert read(b"\x80\x02}c__builtin__\neval\nq\x00.").name == "__builtin__.eval"
    stream = io.BytesIO()

    class Persistent(pickle.Pickler):
        def persistent_id(self, obj: object) -> object:
            return "id 7" if obj is Ellipsis else None

    Persistent(stream).dump([...])
    (found,) = read(stream.getvalue())
    assert isinstance(found, Opaque) and (found.name, found.arguments) == ("persistent", ("id 7",))
