"""The registers of a HyperLogLog as 16384 bytes, one each: packing into six bits, merging, and estimating.

Everything works on strided slices, tables of bytes and large integers, so that all registers are processed in a few
dozen steps, 40 us each. `_hyperloglog.pyx` has compiled twins of `pack`, `unpack`, `larger` and `histogram` (2 to
10 us), used when they are built, unless TRIMARAN_PURE=1 is in the environment.
"""

from math import inf, pow, sqrt
from typing import Final

from protocol.native import prefer

REGISTERS: Final = 16384
PACKED_SIZE: Final = REGISTERS * 6 // 8

# The hash has 50 bits besides those that choose the register, so a register is at most 51. A loaded one may be larger.
HASH_BITS: Final = 50
_VALUES: Final = 64

# 1 / (2 ln 2), the constant of the estimator.
_ALPHA: Final = 0.721347520444481703680
_INTEGER_LIMIT: Final = 2.0**63

_QUARTER: Final = REGISTERS // 4
_HIGH_BITS: Final = int.from_bytes(b"\x80" * REGISTERS, "little")


def _shifted(mask: int, shift: int) -> bytes:
    """Returns a table with each byte's bits in `mask`, moved up by `shift` (down, if negative)."""
    return bytes((byte & mask) << shift if shift > 0 else (byte & mask) >> -shift for byte in range(256))


_LOW_6: Final = _shifted(0x3F, 0)
_HIGH_2: Final = _shifted(0xC0, -6)
_LOW_4: Final = _shifted(0x0F, 2)
_HIGH_4: Final = _shifted(0xF0, -4)
_LOW_2: Final = _shifted(0x03, 4)
_HIGH_6: Final = _shifted(0xFC, -2)

_TO_HIGH_2: Final = _shifted(0x03, 6)
_FROM_2: Final = _shifted(0x3C, -2)
_TO_HIGH_4: Final = _shifted(0x0F, 4)
_FROM_4: Final = _shifted(0x30, -4)
_TO_HIGH_6: Final = _shifted(0x3F, 2)


def _either(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "little") | int.from_bytes(b, "little")).to_bytes(_QUARTER, "little")


def unpack(packed: bytes) -> bytes:
    """Expands six-bit registers, four in three bytes from the lowest bit on, to a byte each."""
    one, two, three = packed[0::3], packed[1::3], packed[2::3]
    registers = bytearray(REGISTERS)
    registers[0::4] = one.translate(_LOW_6)
    registers[1::4] = _either(one.translate(_HIGH_2), two.translate(_LOW_4))
    registers[2::4] = _either(two.translate(_HIGH_4), three.translate(_LOW_2))
    registers[3::4] = three.translate(_HIGH_6)
    return bytes(registers)


def pack(registers: bytes) -> bytes:
    """Does the reverse of `unpack`."""
    one, two, three, four = registers[0::4], registers[1::4], registers[2::4], registers[3::4]
    packed = bytearray(PACKED_SIZE)
    packed[0::3] = _either(one, two.translate(_TO_HIGH_2))
    packed[1::3] = _either(two.translate(_FROM_2), three.translate(_TO_HIGH_4))
    packed[2::3] = _either(three.translate(_FROM_4), four.translate(_TO_HIGH_6))
    return bytes(packed)


def larger(registers: bytes, others: bytes) -> bytes:
    """Returns the larger one of each pair of registers."""
    a, b = int.from_bytes(registers, "little"), int.from_bytes(others, "little")
    # The highest bit of a byte survives the subtraction if a's register is not lower than b's.
    not_below = ((a | _HIGH_BITS) - b) & _HIGH_BITS
    return (b ^ (a ^ b) & (not_below - (not_below >> 7))).to_bytes(REGISTERS, "little")


def histogram(registers: bytes) -> list[int]:
    """Returns how many registers have each value from 0 to 63."""
    counts = []
    for value in range(_VALUES):
        rest = registers.translate(None, bytes((value,)))
        counts.append(len(registers) - len(rest))
        registers = rest
    return counts


def estimate(counts: list[int]) -> int:
    """Estimates how many distinct elements registers with this histogram have seen.

    The estimator is Otmar Ertl's ("New cardinality estimation algorithms for HyperLogLog sketches",
    arXiv:1702.01284), computed in Redis's order, so that the result is the same to the last bit. Registers that no
    hashes can have produced may yield infinity or more than 2^63; then the result is -2^63, as C's conversion makes it.
    """
    total = float(REGISTERS)
    z = total * _tau((total - counts[HASH_BITS + 1]) / total)
    for count in counts[HASH_BITS:0:-1]:
        z += count
        z *= 0.5
    z += total * _sigma(counts[0] / total)
    estimated = _ALPHA * total * total / z if z else inf
    if estimated >= _INTEGER_LIMIT:
        return -(1 << 63)
    whole = int(estimated)
    return whole + 1 if estimated - whole >= 0.5 else whole


def _sigma(x: float) -> float:
    if x == 1.0:
        return inf
    y = 1.0
    z = x
    while True:
        x *= x
        previous = z
        z += x * y
        y += y
        if previous == z:
            return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y = 1.0
    z = 1 - x
    while True:
        x = sqrt(x)
        previous = z
        y *= 0.5
        z -= pow(1 - x, 2) * y
        if previous == z:
            return z / 3


prefer(globals(), "broker.values.hyperloglog._hyperloglog", "histogram", "larger", "pack", "unpack")
