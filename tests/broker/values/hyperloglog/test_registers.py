"""Registers and estimates, pure and compiled, beside plain models."""

import random
from types import ModuleType

import pytest

from broker.values.hyperloglog.registers import PACKED_SIZE, REGISTERS, estimate
from tests import twins

both = twins.both("broker.values.hyperloglog.registers", "broker.values.hyperloglog._hyperloglog")


def registers_of(seed: int) -> bytes:
    rng = random.Random(seed)
    return bytes(rng.randrange(rng.choice([2, 20, 64])) for _ in range(REGISTERS))


@both
@pytest.mark.parametrize("seed", range(5))
def test_packing(module: ModuleType, seed: int) -> None:
    registers = registers_of(seed)
    number = sum(register << 6 * i for i, register in enumerate(registers[:400]))
    packed = module.pack(registers)
    assert len(packed) == PACKED_SIZE
    assert packed[:300] == number.to_bytes(300, "little")
    assert module.unpack(packed) == registers


@both
@pytest.mark.parametrize("seed", range(5))
def test_what_packed_bytes_stand_for(module: ModuleType, seed: int) -> None:
    packed = random.Random(seed).randbytes(PACKED_SIZE)
    assert module.pack(module.unpack(packed)) == packed


@both
def test_the_larger_registers(module: ModuleType) -> None:
    a, b = registers_of(1), registers_of(2)
    assert module.larger(a, b) == bytes(map(max, a, b))
    assert module.larger(b"\x3f" * REGISTERS, bytes(REGISTERS)) == b"\x3f" * REGISTERS


@both
def test_the_histogram(module: ModuleType) -> None:
    registers = registers_of(3)
    assert module.histogram(registers) == [registers.count(value) for value in range(64)]


def counts(**registers: int) -> list[int]:
    """A histogram: `r0=16384` says that so many registers are 0."""
    found = [0] * 64
    for name, count in registers.items():
        found[int(name[1:])] = count
    return found


@pytest.mark.parametrize(
    ("histogram", "estimated"),
    [
        (counts(r0=16384), 0),
        (counts(r0=16383, r1=1), 1),
        (counts(r0=16380, r1=2, r2=1, r5=1), 4),
        # What no hashes make: the estimate is infinite, or past 2^63.
        (counts(r51=16384), -(2**63)),
        (counts(r63=16384), -(2**63)),
        (counts(r50=16384), -(2**63)),
    ],
)
def test_estimates(histogram: list[int], estimated: int) -> None:
    assert estimate(histogram) == estimated
