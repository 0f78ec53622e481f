# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled twin of protocol/doubles.py and the Grisu2 of protocol/shortest.py, which explain what it does and why.

A score takes about 0.1 us instead of 2: a reply may hold a score for each of its members.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.math cimport isnan, isinf
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from protocol.shortest import POWER_FIRST, POWER_STEP, POWERS, power_of_ten

cdef extern from *:
    """
    static inline unsigned long long scale(unsigned long long a, unsigned long long b) {
        return (unsigned long long)(((unsigned __int128)a * b + (1ULL << 63)) >> 64);
    }
    """
    uint64_t scale(uint64_t a, uint64_t b)

cdef enum:
    TABLE_SIZE = 87
    DIGITS_MAX = 20
    TEXT_MAX = 48

cdef uint64_t power_mantissas[TABLE_SIZE]
cdef int power_exponents[TABLE_SIZE]
cdef int first_power = POWER_FIRST
cdef int power_step = POWER_STEP

assert POWERS == TABLE_SIZE
for _index in range(TABLE_SIZE):
    _mantissa, _exponent = power_of_ten(POWER_FIRST + _index * POWER_STEP)
    power_mantissas[_index] = _mantissa
    power_exponents[_index] = _exponent


cdef int shortest(double x, char* digits, int* decimal_exponent):
    """Write the digits of a positive finite double and return their number; the value is digits * 10^exponent."""
    cdef uint64_t bits, value, half, power, upper, lower, width, target, whole, rest, remainder, unit, mask
    cdef int exponent, power_exponent, index, scaled, point, kappa, count = 0
    cdef bint closer_below = False
    memcpy(&bits, &x, 8)
    value = bits & ((<uint64_t>1 << 52) - 1)
    exponent = <int>(bits >> 52)
    if exponent:
        closer_below = value == 0
        value |= <uint64_t>1 << 52
    else:
        exponent = 1
    exponent -= 1075
    half = 1
    while not value >> 63:
        value <<= 1
        half <<= 1
        exponent -= 1
    half >>= 1

    index = (<int>(-(exponent + TABLE_SIZE) * 0.30102999566398114) - first_power) // power_step
    while True:
        scaled = exponent + power_exponents[index] + 64
        if scaled < -60:
            index += 1
        elif scaled > -32:
            index -= 1
        else:
            break
    power = power_mantissas[index]
    power_exponent = first_power + index * power_step
    upper = scale(value + half, power) - 1
    lower = scale(value - (half >> 1 if closer_below else half), power) + 1
    value = scale(value, power)
    point = -scaled

    width = upper - lower
    target = upper - value
    mask = (<uint64_t>1 << point) - 1
    whole = upper >> point
    rest = upper & mask
    unit = 1000000000
    kappa = 9
    while kappa >= 0:
        if count or whole >= unit:
            digits[count] = <char>(c'0' + whole // unit)
            count += 1
        whole %= unit
        remainder = (whole << point) + rest
        if remainder <= width:
            unit <<= point
            break
        unit //= 10
        kappa -= 1
    else:
        unit = <uint64_t>1 << point
        while True:
            rest *= 10
            width *= 10
            target *= 10
            if count or rest >> point:
                digits[count] = <char>(c'0' + (rest >> point))
                count += 1
            rest &= mask
            if rest < width:
                remainder = rest
                break
            kappa -= 1

    while (
        remainder < target
        and width - remainder >= unit
        and (remainder + unit < target or target - remainder > remainder + unit - target)
    ):
        digits[count - 1] -= 1
        remainder += unit
    decimal_exponent[0] = kappa - power_exponent
    return count


cdef int integer_text(int64_t number, char* text):
    """Write a positive integer and return its length."""
    cdef char reversed_digits[DIGITS_MAX]
    cdef int count = 0, i
    while number:
        reversed_digits[count] = <char>(c'0' + number % 10)
        number //= 10
        count += 1
    for i in range(count):
        text[i] = reversed_digits[count - 1 - i]
    return count


cdef int positive_text(double x, char* text, int most_digits):
    cdef char digits[DIGITS_MAX]
    cdef int exponent = 0, length, point, magnitude
    cdef int count = shortest(x, digits, &exponent)
    magnitude = count + exponent - 1
    if exponent >= 0 and magnitude < count + 7:
        memcpy(text, digits, count)
        memset(text + count, c'0', exponent)
        return count + exponent
    if exponent < 0 and (exponent > -7 or -4 < magnitude < 4):
        point = count + exponent
        if point <= 0:
            text[0] = c'0'
            text[1] = c'.'
            memset(text + 2, c'0', -point)
            memcpy(text + 2 - point, digits, count)
            return 2 - point + count
        memcpy(text, digits, point)
        text[point] = c'.'
        memcpy(text + point + 1, digits + point, count - point)
        return count + 1
    text[0] = digits[0]
    length = 1
    if count > 1:
        text[1] = c'.'
        count = min(count, most_digits)
        memcpy(text + 2, digits + 1, count - 1)
        length = count + 1
    text[length] = c'e'
    text[length + 1] = c'-' if magnitude < 0 else c'+'
    length += 2
    if magnitude < 0:
        magnitude = -magnitude
    return length + integer_text(magnitude, text + length)


def format_double(double x):
    """The text of a double in replies: see protocol.doubles.format_double."""
    cdef char text[TEXT_MAX]
    cdef int start = 0
    cdef double magnitude = x
    cdef uint64_t bits
    if isnan(x):
        return b"nan"
    memcpy(&bits, &x, 8)
    if bits >> 63:
        text[0] = c'-'
        start = 1
        magnitude = -x
    if isinf(x):
        return b"-inf" if start else b"inf"
    if x == 0:
        return b"-0" if start else b"0"
    if magnitude <= 4611686018427387904.0 and <double><int64_t>magnitude == magnitude:
        return PyBytes_FromStringAndSize(text, start + integer_text(<int64_t>magnitude, text + start))
    return PyBytes_FromStringAndSize(text, start + positive_text(magnitude, text + start, 18 - start))
