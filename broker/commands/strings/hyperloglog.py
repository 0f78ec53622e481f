"""HyperLogLog: PFADD, PFCOUNT, PFMERGE, and their debugging commands."""

from __future__ import annotations

from random import getrandbits
from typing import Final

from broker.broker import Client
from broker.keyspace.database import Database
from broker.keyspace.events import STRING, Event
from broker.keyspace.strings import String, checked_string, get_string, read_string
from broker.table.command import (
    ACCESS,
    ADMIN,
    DENYOOM,
    FAST,
    INSERT,
    MAY_REPLICATE,
    READONLY,
    RO,
    RW,
    WRITE,
    KeySpec,
    command,
    key,
    keys,
)
from broker.values.hyperloglog.registers import REGISTERS, estimate, histogram, pack, unpack
from broker.values.hyperloglog.sketch import (
    Corrupted,
    add,
    count,
    empty,
    is_dense,
    is_hyperloglog,
    keep_estimate,
    kept_estimate,
    make_dense,
    opcodes,
    raise_registers,
    registers,
    set_out_of_date,
    union,
)
from protocol.errors import CommandError
from protocol.replies import OK, ONE, ZERO, bulk, integers, simple
from protocol.replies import integer as integer_reply

PFADD: Final = Event(STRING, b"pfadd")

_NOT_ONE: Final = b"WRONGTYPE Key is not a valid HyperLogLog string value."
_CORRUPTED: Final = b"INVALIDOBJ Corrupted HLL object detected"
_NO_KEY: Final = b"ERR The specified key does not exist"
_NOT_SPARSE: Final = b"ERR HLL encoding is not sparse"
_NEITHER: Final = b"ERR Argument must be ON or OFF"

# The self-test adds this many elements; Redis adds 10 million, which takes seconds.
_TEST_ELEMENTS: Final = 10_000
_STANDARD_ERROR: Final = 1.04 / REGISTERS**0.5


def _checked(value: String | None) -> String | None:
    """Returns the value if it is a HyperLogLog or None (a missing key); raises for any other string."""
    if value is not None and not is_hyperloglog(value):
        raise CommandError(_NOT_ONE)
    return value


def _changeable(db: Database, name: bytes, value: String) -> bytearray:
    """Returns the value of an existing key in mutable form."""
    if value.__class__ is bytes:
        value = db.data[name] = bytearray(value)
    assert isinstance(value, bytearray)
    return value


@command("PFADD", arity=-2, flags=WRITE | DENYOOM | FAST, keys=(key(RW, INSERT),), group="hyperloglog", since="2.8.9",
         syntax="key [element ...]",
         summary="Adds elements to a HyperLogLog, which is created if it does not exist.",
         complexity="O(1) for each element")  # fmt: skip
def pfadd(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    name = args[1]
    changes = 0
    value = db.get(name)
    if value.__class__ is not bytearray or not is_hyperloglog(value):
        found = _checked(None if value is None else checked_string(value))
        if found is None:
            value = empty()
            db.add(name, value)
            changes = 1
        else:
            value = _changeable(db, name, found)
    # Any of several elements may hit a corrupted part; then none may have been added.
    former = bytes(value) if len(args) > 3 and not is_dense(value) else b""
    limit = session.broker.config.hll_sparse_max_bytes
    try:
        for element in args[2:]:
            if add(value, element, limit):
                changes += 1
    except Corrupted:
        if former:
            value[:] = former
        raise CommandError(_CORRUPTED) from None
    if not changes:
        return ZERO
    set_out_of_date(value)
    db.changed(name, PFADD, changes)
    return ONE


@command("PFCOUNT", arity=-2, flags=READONLY | MAY_REPLICATE,
         keys=(KeySpec((RW, ACCESS), index=1, last=-1,
                       notes="RW because the value of a single key caches the estimate."),),
         group="hyperloglog", since="2.8.9", syntax="key ...",
         summary="Estimates the number of distinct elements in one HyperLogLog or in the union of several.",
         complexity="O(1) for one key whose estimate is up to date, otherwise O(N) for N keys")  # fmt: skip
def pfcount(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 2:
        return integer_reply(estimate(histogram(_union(session.db, args[1:])[0])))
    db = session.db
    name = args[1]
    found = _checked(read_string(db, name))
    if found is None:
        return ZERO
    value = _changeable(db, name, found)
    estimated = kept_estimate(value)
    if estimated is None:
        try:
            estimated = count(value)
        except Corrupted:
            raise CommandError(_CORRUPTED) from None
        keep_estimate(value, estimated)
        db.changed_silently(name)
    return integer_reply(estimated)


def _union(db: Database, names: list[bytes]) -> tuple[bytes, bool]:
    """Returns the registers of the union of all keys, and whether any of the values is dense."""
    united = bytes(REGISTERS)
    any_dense = False
    for name in names:
        value = _checked(read_string(db, name))
        if value is not None:
            any_dense = any_dense or is_dense(value)
            try:
                united = union(united, value)
            except Corrupted:
                raise CommandError(_CORRUPTED) from None
    return united, any_dense


@command("PFMERGE", arity=-2, flags=WRITE | DENYOOM,
         keys=(key(RW, ACCESS, INSERT), keys(RO, ACCESS, at=2)), group="hyperloglog", since="2.8.9",
         syntax="destkey:key [sourcekey:key ...]",
         summary="Merges HyperLogLogs into the first one, which is created if it does not exist.",
         complexity="O(N) for N keys")  # fmt: skip
def pfmerge(session: Client, args: list[bytes]) -> bytes:
    db = session.db
    united, any_dense = _union(db, args[1:])
    name = args[1]
    found = get_string(db, name)
    if found is None:
        value = empty()
        db.add(name, value)
    else:
        value = _changeable(db, name, found)
    if any_dense and not is_dense(value):
        make_dense(value)
    raise_registers(value, united, session.broker.config.hll_sparse_max_bytes)
    set_out_of_date(value)
    db.changed(name, PFADD)
    return OK


@command("PFDEBUG", arity=3, flags=WRITE | DENYOOM | ADMIN, keys=(key(RW, ACCESS, at=2),), system=True,
         group="hyperloglog", since="2.8.9", syntax="subcommand key",
         summary="Inspects a HyperLogLog: its registers (GETREG), opcodes (DECODE) or encoding (ENCODING); or makes it"
         " dense (TODENSE).",
         complexity="O(1)")  # fmt: skip
def pfdebug(session: Client, args: list[bytes]) -> bytes:
    subcommand = args[1].upper()
    if subcommand == b"SIMD":
        if args[2].upper() not in (b"ON", b"OFF"):
            raise CommandError(_NEITHER)
        return simple(b"disabled")
    db = session.db
    name = args[2]
    found = _checked(get_string(db, name))
    if found is None:
        raise CommandError(_NO_KEY)
    value = _changeable(db, name, found)
    was_sparse = not is_dense(value)
    if subcommand == b"ENCODING":
        return simple(b"sparse" if was_sparse else b"dense")
    if subcommand == b"DECODE":
        if not was_sparse:
            raise CommandError(_NOT_SPARSE)
        return bulk(opcodes(value))
    if subcommand not in (b"GETREG", b"TODENSE"):
        raise CommandError(b"ERR Unknown PFDEBUG subcommand '%b'" % args[1].partition(b"\0")[0])
    if was_sparse:
        try:
            make_dense(value)
        except Corrupted:
            raise CommandError(_CORRUPTED) from None
        db.changed_silently(name)
    if subcommand == b"GETREG":
        return integers(registers(value))
    return ONE if was_sparse else ZERO


@command("PFSELFTEST", arity=1, flags=ADMIN, system=True, group="hyperloglog", since="2.8.9",
         summary="Tests that registers keep their values and that estimates are accurate.",
         complexity="O(1)")  # fmt: skip
def pfselftest(session: Client, args: list[bytes]) -> bytes:
    values = bytes(getrandbits(6) for _ in range(REGISTERS))
    if unpack(pack(values)) != values:
        raise CommandError(b"ERR TESTFAILED registers are not kept")
    dense, sparse = empty(), empty()
    make_dense(dense)
    limit = session.broker.config.hll_sparse_max_bytes
    seed = getrandbits(64)
    checkpoint = 1
    for number in range(1, _TEST_ELEMENTS + 1):
        element = (number ^ seed).to_bytes(8, "little")
        add(dense, element, limit)
        add(sparse, element, limit)
        if number != checkpoint:
            continue
        if number < limit // 2 and is_dense(sparse):
            raise CommandError(b"ERR TESTFAILED sparse encoding not used")
        estimated = count(dense)
        if estimated != count(sparse):
            raise CommandError(b"ERR TESTFAILED dense/sparse disagree")
        error = abs(number - estimated)
        if error > max(1, 6 * _STANDARD_ERROR * number + 1):
            raise CommandError(b"ERR TESTFAILED Too big error. card:%d abserr:%d" % (number, error))
        checkpoint *= 10
    return OK
