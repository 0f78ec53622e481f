"""What commands do with their keys, by their options."""

import pytest

import broker.commands
from broker.table.command import ACCESS, DELETE, OW, RM, RO, RW, UPDATE, CommandTable
from broker.table.key_access import keys_and_access
from tests.oracle.wire import split

assert broker.commands  # declares all commands


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("GET k", [(1, (RO, ACCESS))]),
        ("SET k v", [(1, (OW, UPDATE))]),
        ("SET get v", [(1, (OW, UPDATE))]),
        ("SET k v NX get", [(1, (RW, ACCESS, UPDATE))]),
        ("SET k v ifeq x", [(1, (RW, UPDATE))]),
        ("DELEX k", [(1, (RM, DELETE))]),
        ("DELEX k IFEQ x", [(1, (RW, DELETE))]),
        ("SORT k STORE d", [(1, (RO, ACCESS)), (3, (OW, UPDATE))]),
        ("XREAD STREAMS a b 1 2", [(2, (RO, ACCESS)), (3, (RO, ACCESS))]),
        ("PING x", []),
    ],
)
def test_keys_and_access(command: str, keys: list[tuple[int, tuple[str, ...]]]) -> None:
    args = split(command)
    found = CommandTable().find(args)
    assert found is not None
    assert keys_and_access(found, args) == keys


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("BITFIELD k GET u8 0", (RO, ACCESS)),
        ("BITFIELD k OVERFLOW WRAP GET u8 0", (RO, ACCESS)),
        ("BITFIELD k GET u8 0 SET u8 0 1", (RW, ACCESS, UPDATE)),
        ("BITFIELD k GET u8", (RW, ACCESS, UPDATE)),
    ],
)
def test_bitfield(command: str, flags: tuple[str, ...]) -> None:
    from broker.table.key_access import _bitfield

    assert _bitfield(split(command)) == flags
