"""The stored form of HyperLogLog, pure and compiled: bytes, promotion, merging, broken values."""

import random
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.values.hyperloglog import sketch as hyperloglog
from broker.values.hyperloglog.registers import REGISTERS
from broker.values.hyperloglog.sketch import HEADER, SPARSE, empty, is_dense, is_hyperloglog, kept_estimate
from tests import twins
from tests.twins import pure_module

LIMIT = 3000


PURE = pure_module("broker.values.hyperloglog.sketch")

both = twins.both("broker.values.hyperloglog.sketch", "broker.values.hyperloglog._hyperloglog")


def elements(first: int, last: int) -> list[bytes]:
    return [b"element:%d" % n for n in range(first, last)]


def filled(module: ModuleType, added: list[bytes], limit: int = LIMIT) -> bytearray:
    value: bytearray = module.empty()
    for element in added:
        module.add(value, element, limit)
    return value


def element_with_hash(hashed: int) -> bytes:
    """The element of eight bytes that has this hash: for so few, all its steps can be taken back."""
    factor, mask = 0xC6A4A7935BD1E995, (1 << 64) - 1
    inverse = pow(factor, -1, 1 << 64)
    hashed = (hashed ^ hashed >> 47) * inverse & mask
    hashed = (hashed ^ hashed >> 47) * inverse & mask
    word = (hashed ^ 0xADC83B19 ^ 8 * factor & mask) * inverse & mask
    return ((word ^ word >> 47) * inverse & mask).to_bytes(8, "little")


def sparse(opcodes: bytes) -> bytearray:
    return bytearray(b"HYLL" + bytes((SPARSE,)) + bytes(11) + opcodes)


@both
def test_registers_follow_the_elements(module: ModuleType) -> None:
    expected = bytearray(REGISTERS)
    value = module.empty()
    promoted: list[int] = []
    for n, element in enumerate(elements(0, 3000)):
        index, least = module.place(element)
        assert module.add(value, element, LIMIT) is (least > expected[index])
        expected[index] = max(expected[index], least)
        if n % 97 == 0:
            assert module.registers(value) == expected
        if is_dense(value) and not promoted:
            promoted.append(n)
            assert module.registers(value) == expected
    assert module.registers(value) == expected
    assert promoted == [1668]
    assert module.count(value) == 3002


@both
def test_a_sparse_value_is_never_longer_than_the_limit(module: ModuleType) -> None:
    for limit in (0, 18, 21, 100, 500):
        value = module.empty()
        for element in elements(0, 200):
            module.add(value, element, limit)
            assert is_dense(value) or len(value) <= max(limit, 18)


def test_the_header() -> None:
    value = empty()
    assert bytes(value) == b"HYLL\x01" + bytes(11) + b"\x7f\xff"
    assert kept_estimate(value) == 0
    hyperloglog.keep_estimate(value, 1 << 40)
    assert kept_estimate(value) == 1 << 40
    hyperloglog.set_out_of_date(value)
    assert kept_estimate(value) is None
    hyperloglog.keep_estimate(value, -(1 << 63))
    assert kept_estimate(value) is None


@both
@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (b"", False), (b"HYLL", False), (b"HYLL\x01" + bytes(10), False), (b"HYLL\x01" + bytes(11), True),
        (b"HYLX\x01" + bytes(11), False), (b"HYLL\x02" + bytes(11), False), (b"HYLL\x00" + bytes(11), False),
        (b"HYLL\x00" + bytes(12299), True), (b"HYLL\x00" + bytes(12300), False),
    ],
)  # fmt: skip
def test_what_looks_like_one(module: ModuleType, value: bytes, is_one: bool) -> None:
    assert module.is_hyperloglog(value) is is_one
    assert module.is_hyperloglog(bytearray(value)) is is_one


@both
@pytest.mark.parametrize("limit", [30, 60, 100, 101, 102, 103, 104, 600, LIMIT])
def test_merging_writes_what_adding_one_register_after_the_other_does(module: ModuleType, limit: int) -> None:
    for seed in range(10):
        rng = random.Random(seed)
        size = rng.choice([0, 3, 12, 200])
        ours = filled(module, elements(0, size), LIMIT)
        others = filled(module, elements(150, 150 + rng.choice([0, 5, 15, 400])), LIMIT)
        wanted = bytes(map(max, module.registers(ours), module.registers(others)))
        expected = bytearray(ours)
        for index, register in enumerate(wanted):
            if is_dense(expected):
                module._set_dense(expected, index, register)
            elif register:
                where = module._Place(index, *module._locate(expected, index))
                module._set_sparse(expected, where, register, limit)
        module.raise_registers(ours, wanted, limit)
        assert ours == expected


@both
def test_merging_into_a_dense_value(module: ModuleType) -> None:
    value = filled(module, elements(0, 5000))
    others = module.registers(filled(module, elements(4000, 9000)))
    wanted = module.union(module.registers(value), filled(module, elements(4000, 9000)))
    assert wanted == bytes(map(max, module.registers(value), others))
    module.raise_registers(value, wanted, LIMIT)
    assert module.registers(value) == wanted


BROKEN = [
    b"", b"\x7f", b"\x7f\xfe", b"\x7f\xff\x00", b"\x00\x7f\xff", b"\x83" * 4095, b"\x83" * 4097, b"\x80\x7f\xff",
]  # fmt: skip


@both
@pytest.mark.parametrize("opcodes", BROKEN)
def test_broken_values(module: ModuleType, opcodes: bytes) -> None:
    value = sparse(opcodes)
    with pytest.raises(module.Corrupted):
        module.registers(value)
    with pytest.raises(module.Corrupted):
        module.make_dense(value)
    assert value == sparse(opcodes)


def test_a_missing_second_byte_counts_as_zero() -> None:
    value = sparse(b"\x7e\xff\x40")
    assert hyperloglog._locate(value, 0x3EFF) == (HEADER, 0, -1)
    assert hyperloglog._locate(value, 0x3F00) == (HEADER + 2, 0x3F00, HEADER)
    with pytest.raises(hyperloglog.Corrupted):
        hyperloglog._locate(value, 0x3F01)


@both
@given(opcodes=st.binary(max_size=300) | st.lists(st.sampled_from([b"\x7f\xff", b"\x40\x00", b"\x3f", b"\x83"]))
       .map(b"".join), added=st.lists(st.binary(max_size=9), max_size=5))  # fmt: skip
def test_no_value_does_harm(module: ModuleType, opcodes: bytes, added: list[bytes]) -> None:
    value = sparse(opcodes)
    for element in added:
        former = bytes(value)
        try:
            module.add(value, element, LIMIT)
        except module.Corrupted:
            assert value == former
        assert is_hyperloglog(value)
    module.opcodes(value)
    try:
        registers = module.registers(value)
    except module.Corrupted:
        return
    assert len(registers) == REGISTERS
    module.count(value)
    wanted = bytearray(registers)
    wanted[100] = max(wanted[100], 32)
    module.raise_registers(value, bytes(wanted), LIMIT)
    assert module.registers(value) == wanted


def _outcome(module: ModuleType, value: bytearray, element: bytes, limit: int) -> object:
    try:
        return module.add(value, element, limit)
    except module.Corrupted:
        return "corrupted"


@given(seed=st.integers(0, 1 << 32), limit=st.integers(18, 400) | st.just(LIMIT), size=st.integers(0, 400))
def test_both_write_the_same_bytes(seed: int, limit: int, size: int) -> None:
    """Down to joined runs and the step at which a value becomes dense."""
    rng = random.Random(seed)
    pure, preferred = empty(), empty()
    for _ in range(size):
        element = rng.randbytes(rng.randrange(20))
        assert PURE.add(pure, element, limit) is hyperloglog.add(preferred, element, limit)
        assert pure == preferred


OPCODES = st.sampled_from(
    [b"\x7f\xff", b"\x4f\xff", b"\x40\x00", *(bytes([op]) for op in b"\x7f\x40\x3f\x80\x83\x87\xfc\xff")]
)


@given(opcodes=st.binary(max_size=60) | st.lists(OPCODES, max_size=40).map(b"".join),
       added=st.lists(st.binary(max_size=9), max_size=60), limit=st.integers(0, 100))  # fmt: skip
def test_both_make_the_same_of_broken_values(opcodes: bytes, added: list[bytes], limit: int) -> None:
    pure, preferred = sparse(opcodes), sparse(opcodes)
    for element in added:
        assert _outcome(PURE, pure, element, limit) == _outcome(hyperloglog, preferred, element, limit)
        assert pure == preferred


@both
def test_a_register_too_large_for_a_sparse_value_makes_it_dense(module: ModuleType) -> None:
    value, broken = module.empty(), sparse(b"\x7f")
    element = element_with_hash(5 | 1 << 54)
    assert module.place(element) == (5, 41)
    with pytest.raises(module.Corrupted):
        module.add(broken, element, LIMIT)
    assert broken == sparse(b"\x7f")
    assert module.add(value, element, LIMIT) is True and is_dense(value)
    assert module.registers(value)[5] == 41
    assert module.add(value, element, LIMIT) is False


def test_a_huge_value_is_refused_at_once() -> None:
    value = sparse(b"\x80" * 5_000_000)
    with pytest.raises(hyperloglog.Corrupted):
        hyperloglog.registers(value)


def test_a_register_is_found_where_a_walk_finds_it() -> None:
    value = filled(hyperloglog, elements(0, 1200))
    assert not is_dense(value)
    for index in range(0, REGISTERS, 31):
        assert hyperloglog._locate(value, index) == _walk(value, index)


def _walk(value: bytearray, index: int) -> tuple[int, int, int]:
    at, first, previous = HEADER, 0, -1
    while True:
        op = value[at]
        size = 1
        if op & 0x80:
            span = (op & 3) + 1
        elif op & 0x40:
            span = ((op & 0x3F) << 8 | value[at + 1]) + 1
            size = 2
        else:
            span = op + 1
        if index < first + span:
            return at, first, previous
        previous, at, first = at, at + size, first + span
