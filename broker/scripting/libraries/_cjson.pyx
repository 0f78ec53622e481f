# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""cjson's encode and decode for what is usual, in C.

They give nothing for what is unusual: nesting, numbers that JSON does not have, metatables, and every error. Then the
same is done again by the functions in Lua, which know all of it.
"""
from libc.stdio cimport snprintf
from libc.stdlib cimport strtod
from libc.string cimport strncmp

from lupa import lua51

from broker.scripting.libraries.text cimport Text, begin, grow, put, put_text, reserve
from broker.scripting.lua cimport (
    BOOLEAN, NIL, NUMBER, STRING, TABLE, USERDATA, Api, Function, Lua, Pace, find_api, pause, upvalue,
)
from protocol.digits cimport put_number

cdef extern from *:
    """
    static int (*trimaran_opened)(void*);
    __attribute__((visibility("default"))) int trimaran_cjson(void* state) { return trimaran_opened(state); }
    """
    int (*trimaran_opened)(void*) noexcept nogil

cdef Api lua
cdef bint IS_THERE = find_api(&lua, lua51.__file__.encode())

cdef int MOST_NESTED = 100
cdef double MOST_DIGITS = 1e14
"""Whole numbers below this are written with all their digits by printf's %.14g as well."""
cdef double TWO_31 = 2147483648.0
cdef double[23] POWERS = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
    1e20, 1e21, 1e22,
]  # the powers of ten that a double holds exactly

cdef unsigned char[256] IS_ESCAPED
cdef unsigned char[256] ENDS_STRING
cdef int _i
for _i in range(256):
    IS_ESCAPED[_i] = _i < 32 or _i == 127 or _i == 34 or _i == 92 or _i == 47
    ENDS_STRING[_i] = _i == 34 or _i == 92 or _i == 0


include "_cjson_encode.pxi"


# Decoding -------------------------------------------------------------------------------------------------------------

cdef struct Decoder:
    Text text
    Pace pace
    Lua L
    const char* at
    int most_nested


cdef inline void skip_spaces(Decoder* decoder) noexcept nogil:
    cdef const char* at = decoder.at
    while at[0] == c" " or at[0] == c"\n" or at[0] == c"\t" or at[0] == c"\r":
        at += 1
    decoder.at = at


cdef int hex_digits(const char* at) noexcept nogil:
    """The number in four hexadecimal digits; -1 where they are none."""
    cdef int number = 0, i
    cdef char digit
    for i in range(4):
        digit = at[i]
        if c"0" <= digit <= c"9":
            number = number * 16 + (digit - c"0")
        elif c"a" <= digit <= c"f":
            number = number * 16 + (digit - c"a") + 10
        elif c"A" <= digit <= c"F":
            number = number * 16 + (digit - c"A") + 10
        else:
            return -1
    return number


cdef void put_code(Text* text, int code) noexcept nogil:
    """Write a character as UTF-8."""
    reserve(text, 4)
    if code < 0x80:
        text.at[0] = <char>code
        text.at += 1
        return
    if code < 0x800:
        text.at[0] = <char>(0xC0 | (code >> 6))
        text.at += 1
    else:
        if code < 0x10000:
            text.at[0] = <char>(0xE0 | (code >> 12))
            text.at += 1
        else:
            text.at[0] = <char>(0xF0 | (code >> 18))
            text.at[1] = <char>(0x80 | ((code >> 12) & 0x3F))
            text.at += 2
        text.at[0] = <char>(0x80 | ((code >> 6) & 0x3F))
        text.at += 1
    text.at[0] = <char>(0x80 | (code & 0x3F))
    text.at += 1


cdef bint decode_escape(Decoder* decoder) noexcept nogil:
    """Write what an escape stands for, whose backslash is at `at`."""
    cdef const char* at = decoder.at
    cdef char letter = at[1]
    cdef Text* text = &decoder.text
    cdef int code, low
    decoder.at += 2
    if letter == c'"' or letter == c"\\" or letter == c"/":
        put(text, letter)
    elif letter == c"n":
        put(text, 10)
    elif letter == c"t":
        put(text, 9)
    elif letter == c"r":
        put(text, 13)
    elif letter == c"b":
        put(text, 8)
    elif letter == c"f":
        put(text, 12)
    elif letter == c"u":
        code = hex_digits(at + 2)
        if code < 0:
            return False
        decoder.at += 4
        if 0xD800 <= code <= 0xDFFF:
            if code >= 0xDC00 or at[6] != c"\\" or at[7] != c"u":
                return False
            low = hex_digits(at + 8)
            if not 0xDC00 <= low <= 0xDFFF:
                return False
            decoder.at += 6
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        put_code(text, code)
    else:
        return False
    return True


cdef bint decode_string(Decoder* decoder) noexcept nogil:
    """Push the string whose quote is at `at`."""
    cdef Text* text = &decoder.text
    cdef const char* start = decoder.at + 1
    cdef const char* at = start
    pause(&lua, decoder.L, &decoder.pace)
    while not ENDS_STRING[<unsigned char>at[0]]:
        at += 1
    if at[0] == c'"':
        lua.pushlstring(decoder.L, start, at - start)
        decoder.at = at + 1
        return True
    text.at = text.start
    while at[0] == c"\\":
        put_text(text, start, at - start)
        decoder.at = at
        if not decode_escape(decoder):
            return False
        start = at = decoder.at
        while not ENDS_STRING[<unsigned char>at[0]]:
            at += 1
    if at[0] != c'"':
        return False
    put_text(text, start, at - start)
    lua.pushlstring(decoder.L, text.start, text.at - text.start)
    decoder.at = at + 1
    return True


cdef bint decode_number(Decoder* decoder) noexcept nogil:
    """Push the number at `at`, if it is one as JSON has them."""
    cdef const char* at = decoder.at
    cdef const char* first
    cdef bint negative = at[0] == c"-", has_exponent = False
    cdef long long mantissa = 0
    cdef int digits, decimals = 0
    cdef double number
    if negative:
        at += 1
    first = at
    while c"0" <= at[0] <= c"9":
        if at - first < 18:
            mantissa = mantissa * 10 + (at[0] - c"0")
        at += 1
    digits = <int>(at - first) if at - first < 100 else 100
    if not digits or (first[0] == c"0" and digits > 1):
        return False
    if at[0] == c".":
        at += 1
        first = at
        while c"0" <= at[0] <= c"9":
            if digits + (at - first) < 18:
                mantissa = mantissa * 10 + (at[0] - c"0")
            at += 1
        if at == first:
            return False
        decimals = <int>(at - first) if at - first < 100 else 100
        digits += decimals
    if at[0] == c"e" or at[0] == c"E":
        at += 1
        if at[0] == c"+" or at[0] == c"-":
            at += 1
        first = at
        while c"0" <= at[0] <= c"9":
            at += 1
        if at == first:
            return False
        has_exponent = True
    if at[0] == c"x" or at[0] == c"X":
        return False
    if digits > 15 or has_exponent or not mantissa:
        number = strtod(decoder.at, NULL)
    else:
        # Both are exact, so that the quotient is the nearest double.
        number = <double>mantissa / POWERS[decimals]
        if negative:
            number = -number
    lua.pushnumber(decoder.L, number)
    decoder.at = at
    return True


cdef bint decode_object(Decoder* decoder, int depth) noexcept nogil:
    cdef Lua L = decoder.L
    cdef char mark
    lua.createtable(L, 0, 0)
    decoder.at += 1
    skip_spaces(decoder)
    if decoder.at[0] == c"}":
        decoder.at += 1
        return True
    while True:
        if decoder.at[0] != c'"' or not decode_string(decoder):
            return False
        skip_spaces(decoder)
        if decoder.at[0] != c":":
            return False
        decoder.at += 1
        skip_spaces(decoder)
        if not decode_value(decoder, depth):
            return False
        lua.rawset(L, -3)
        skip_spaces(decoder)
        mark = decoder.at[0]
        decoder.at += 1
        if mark == c"}":
            return True
        if mark != c",":
            return False
        skip_spaces(decoder)


cdef bint decode_array(Decoder* decoder, int depth) noexcept nogil:
    cdef Lua L = decoder.L
    cdef int n = 0
    cdef char mark
    lua.createtable(L, 0, 0)
    decoder.at += 1
    skip_spaces(decoder)
    if decoder.at[0] == c"]":
        decoder.at += 1
        return True
    while True:
        if not decode_value(decoder, depth):
            return False
        n += 1
        lua.rawseti(L, -2, n)
        skip_spaces(decoder)
        mark = decoder.at[0]
        decoder.at += 1
        if mark == c"]":
            return True
        if mark != c",":
            return False
        skip_spaces(decoder)


cdef bint decode_value(Decoder* decoder, int depth) noexcept nogil:
    """Push the value at `at`, with so many tables around it; False where that is not for here."""
    cdef Lua L = decoder.L
    cdef char first = decoder.at[0]
    if first == c'"':
        return decode_string(decoder)
    pause(&lua, L, &decoder.pace)
    if first == c"{" or first == c"[":
        if depth >= decoder.most_nested or not lua.checkstack(L, 6):
            return False
        return decode_object(decoder, depth + 1) if first == c"{" else decode_array(decoder, depth + 1)
    if first == c"t" and not strncmp(decoder.at, b"true", 4):
        lua.pushboolean(L, 1)
        decoder.at += 4
    elif first == c"f" and not strncmp(decoder.at, b"false", 5):
        lua.pushboolean(L, 0)
        decoder.at += 5
    elif first == c"n" and not strncmp(decoder.at, b"null", 4):
        lua.pushvalue(L, upvalue(1))
        decoder.at += 4
    else:
        return decode_number(decoder)
    return True


cdef int decode(Lua L) noexcept nogil:
    """decode(text, max_depth): the value, or nothing. Lua's texts end with a zero byte, which is no part of them."""
    cdef Decoder decoder
    cdef size_t size
    cdef double most_nested = lua.tonumber(L, 2)
    cdef const char* text = lua.tolstring(L, 1, &size)
    if size < 2 or not (text[0] and text[1]):
        return 0
    decoder.L = L
    decoder.at = text
    decoder.most_nested = <int>most_nested if most_nested < MOST_NESTED else MOST_NESTED
    decoder.pace = Pace(steps=0, looked=0)
    lua.settop(L, 2)
    lua.pushnil(L)
    begin(&decoder.text, &lua, L, 3)
    skip_spaces(&decoder)
    if not decode_value(&decoder, 0):
        return 0
    skip_spaces(&decoder)
    return decoder.at == text + size


cdef int open_in_lua(Lua L) noexcept nogil:
    """open(null): encode and decode."""
    lua.settop(L, 1)
    lua.pushvalue(L, 1)
    lua.pushcclosure(L, encode, 1)
    lua.pushvalue(L, 1)
    lua.pushcclosure(L, decode, 1)
    return 2


trimaran_opened = open_in_lua


def usual(runtime, null):
    """encode and decode for what is usual; nothing where Lua's C interface can't be had."""
    if not IS_THERE:
        return None, None
    load = runtime.eval("package.loadlib")
    opened = load(__file__.encode(), b"trimaran_cjson") if load is not None else None
    return opened(null) if callable(opened) else (None, None)
