"""Libraries: what is taken, what is refused, and that a refusal changes nothing."""

import pytest

from broker.scripting.functions import Functions, read_metadata
from protocol.errors import CommandError


class Lua:
    """Stands for Lua: a library's code is the names that it registers."""

    def __init__(self) -> None:
        self.functions = Functions(self._load, lambda: None)

    def _load(self, code: bytes) -> tuple[dict[bytes, object] | None, bytes]:
        for name in code.split():
            problem = self.functions.register(name, None, b"no-writes")
            if problem is not None:
                return None, b"Error registering functions: ERR " + problem
        return {name: object() for name in code.split()}, b""


@pytest.fixture
def functions() -> Functions:
    return Lua().functions


def refused(functions: Functions, source: bytes, replace: bool = False) -> bytes:
    before = (functions.sources(), functions.count())
    with pytest.raises(CommandError) as caught:
        functions.load(source, replace)
    assert (functions.sources(), functions.count()) == before
    return caught.value.text


def test_loading_and_finding(functions: Functions) -> None:
    assert functions.load(b"#!lua name=one\nf g", False) == b"one"
    found = functions.find(b"F")
    assert found is not None and found.name == b"f"
    assert functions.count() == 2
    assert functions.sources() == [b"#!lua name=one\nf g"]
    functions.load_source(b"#!lua name=one\nh")
    assert functions.find(b"f") is None and functions.find(b"h") is not None


def test_refusals(functions: Functions) -> None:
    functions.load(b"#!lua name=one\nf g", False)
    assert refused(functions, b"#!lua name=one\nh") == b"ERR Library 'one' already exists"
    assert refused(functions, b"#!lua name=two\nG") == b"ERR Function G already exists"
    assert refused(functions, b"#!lua name=one\nh h", True).endswith(b"Function already exists in the library")
    assert refused(functions, b"#!lua name=two\n") == b"ERR No functions registered"
    assert refused(functions, b"#!js name=two\nh") == b"ERR Engine 'js' not found"
    assert b"Library names can only contain" in refused(functions, b"#!lua name=t-o\nh")
    assert functions.register(b"late", None, None) == (
        b"redis.register_function can only be called on FUNCTION LOAD command"
    )


def test_deleting(functions: Functions) -> None:
    functions.load(b"#!lua name=one\nf", False)
    with pytest.raises(CommandError, match="Library not found"):
        functions.delete(b"two")
    functions.delete(b"one")
    assert functions.find(b"f") is None
    functions.load(b"#!lua name=one\nf", False)
    functions.flush()
    assert (functions.sources(), functions.count()) == ([], 0)


def test_dumps_are_restored(functions: Functions) -> None:
    functions.load(b"#!lua name=one\nf", False)
    functions.load(b"#!lua name=two\ng" + b" " * 1000, False)
    payload = functions.dump()
    other = Lua().functions
    other.load(b"#!lua name=two\nother", False)
    with pytest.raises(CommandError, match="Library two already exists"):
        other.restore(payload, b"append")
    assert other.count() == 1
    other.restore(payload, b"replace")
    assert other.sources() == functions.sources()
    other.load(b"#!lua name=three\nh", False)
    other.restore(payload, b"flush")
    assert other.find(b"h") is None


def test_damaged_payloads_change_nothing(functions: Functions) -> None:
    functions.load(b"#!lua name=one\nf", False)
    payload = functions.dump()
    for damaged in (b"", payload[:-1], payload[:5] + b"x" + payload[6:]):
        with pytest.raises(CommandError, match="DUMP payload version or checksum are wrong"):
            functions.restore(damaged, b"flush")
    assert functions.count() == 1


def test_metadata() -> None:
    assert read_metadata(b"#!lua name=x\ncode\n") == (b"x", b"lua", b"\ncode\n")
    for source in (b"", b"code", b"#!lua name=x", b"#!lua\n", b"#!lua name=x name=y\n", b"#!lua x=y\n", b"#!\n"):
        with pytest.raises(CommandError):
            read_metadata(source)
