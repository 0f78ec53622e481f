# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""cmsgpack's pack and unpack for what is usual, in C.

They give nothing for what is unusual: deep nesting, NaN, many values at once, and every error. Then the same is done
again by the functions in Lua, which know all of it.
"""
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from lupa import lua51

from broker.scripting.libraries.text cimport Text, begin, put, put_text, reserve
from broker.scripting.lua cimport BOOLEAN, NIL, NUMBER, STRING, TABLE, Api, Lua, Pace, find_api, pause

cdef extern from *:
    """
    static int (*trimaran_opened)(void*);
    __attribute__((visibility("default"))) int trimaran_cmsgpack(void* state) { return trimaran_opened(state); }
    """
    int (*trimaran_opened)(void*) noexcept nogil

cdef Api lua
cdef bint IS_THERE = find_api(&lua, lua51.__file__.encode())

cdef int MOST_AT_ONCE = 100
"""Values that are packed by one call here."""
cdef int MOST_PACKED = 16
"""A table inside so many others is packed as nil."""
cdef int MOST_UNPACKED = 100
"""Tables within each other that are unpacked here."""
cdef double TWO_63 = 9223372036854775808.0
cdef double INT_MAX = 2147483647.0


# Packing --------------------------------------------------------------------------------------------------------------

cdef struct Packer:
    Text text
    Pace pace
    Lua L


cdef void put_big_endian(Text* text, unsigned char header, uint64_t number, int size) noexcept nogil:
    """Write a header and the last bytes of a number."""
    cdef int i
    reserve(text, 9)
    text.at[0] = <char>header
    for i in range(size):
        text.at[1 + i] = <char>(number >> (8 * (size - 1 - i)))
    text.at += 1 + size


cdef void pack_integer(Text* text, int64_t number) noexcept nogil:
    """The shortest form."""
    if number >= 0:
        if number <= 0x7F:
            put(text, <char>number)
        elif number <= 0xFF:
            put_big_endian(text, 0xCC, number, 1)
        elif number <= 0xFFFF:
            put_big_endian(text, 0xCD, number, 2)
        elif number <= <int64_t>0xFFFFFFFF:
            put_big_endian(text, 0xCE, number, 4)
        else:
            put_big_endian(text, 0xCF, number, 8)
    elif number >= -32:
        put(text, <char>number)
    elif number >= -128:
        put_big_endian(text, 0xD0, <uint64_t>number, 1)
    elif number >= -32768:
        put_big_endian(text, 0xD1, <uint64_t>number, 2)
    elif number >= -<int64_t>0x80000000:
        put_big_endian(text, 0xD2, <uint64_t>number, 4)
    else:
        put_big_endian(text, 0xD3, <uint64_t>number, 8)


cdef bint pack_number(Text* text, double number) noexcept nogil:
    """Without a fraction as an integer, else as a float where that loses nothing."""
    cdef float single = <float>number
    cdef uint32_t bits
    cdef uint64_t double_bits
    if number != number:
        return False
    if -TWO_63 <= number < TWO_63 and number == <double><int64_t>number:
        pack_integer(text, <int64_t>number)
    elif <double>single == number:
        memcpy(&bits, &single, 4)
        put_big_endian(text, 0xCA, bits, 4)
    else:
        memcpy(&double_bits, &number, 8)
        put_big_endian(text, 0xCB, double_bits, 8)
    return True


cdef void pack_string(Text* text, const char* bytes, size_t size) noexcept nogil:
    if size < 32:
        put(text, <char>(0xA0 + size))
    elif size <= 0xFF:
        put_big_endian(text, 0xD9, size, 1)
    elif size <= 0xFFFF:
        put_big_endian(text, 0xDA, size, 2)
    else:
        put_big_endian(text, 0xDB, size, 4)
    put_text(text, bytes, size)


cdef void pack_header(Text* text, uint64_t size, unsigned char small, unsigned char medium) noexcept nogil:
    """The header of an array or a map."""
    if size <= 15:
        put(text, <char>(small + size))
    elif size <= 0xFFFF:
        put_big_endian(text, medium, size, 2)
    else:
        put_big_endian(text, medium + 1, size, 4)


cdef long long measure(Packer* packer, bint* is_array) noexcept nogil:
    """The number of elements of the table on top, and whether its keys are the integers from 1 to that number."""
    cdef Lua L = packer.L
    cdef double key, largest = 0
    cdef long long count = 0
    is_array[0] = True
    lua.pushnil(L)
    while lua.next(L, -2):
        lua.settop(L, -2)
        count += 1
        if is_array[0]:
            key = lua.tonumber(L, -1) if lua.type(L, -1) == NUMBER else 0
            if not 0 < key <= INT_MAX or key != <double><int64_t>key:
                is_array[0] = False
            elif key > largest:
                largest = key
        pause(&lua, L, &packer.pace)
    is_array[0] = is_array[0] and largest == count
    return count


cdef bint pack_table(Packer* packer, int depth) noexcept nogil:
    cdef Lua L = packer.L
    cdef bint is_array
    cdef long long count, i
    if not lua.checkstack(L, 6):
        return False
    count = measure(packer, &is_array)
    if is_array:
        pack_header(&packer.text, count, 0x90, 0xDC)
        for i in range(1, count + 1):
            lua.rawgeti(L, -1, <int>i)
            if not pack_value(packer, depth):
                return False
            lua.settop(L, -2)
        return True
    pack_header(&packer.text, count, 0x80, 0xDE)
    lua.pushnil(L)
    while lua.next(L, -2):
        lua.pushvalue(L, -2)
        if not pack_value(packer, depth):
            return False
        lua.settop(L, -2)
        if not pack_value(packer, depth):
            return False
        lua.settop(L, -2)
    return True


cdef bint pack_value(Packer* packer, int depth) noexcept nogil:
    """Pack the value on top, with so many tables around it; False where that is not for here."""
    cdef Lua L = packer.L
    cdef int kind = lua.type(L, -1)
    cdef const char* text
    cdef size_t size
    pause(&lua, L, &packer.pace)
    if kind == STRING:
        text = lua.tolstring(L, -1, &size)
        pack_string(&packer.text, text, size)
    elif kind == NUMBER:
        return pack_number(&packer.text, lua.tonumber(L, -1))
    elif kind == BOOLEAN:
        put(&packer.text, <char>(0xC3 if lua.toboolean(L, -1) else 0xC2))
    elif kind == TABLE and depth < MOST_PACKED:
        return pack_table(packer, depth + 1)
    else:
        put(&packer.text, <char>0xC0)
    return True


cdef int pack(Lua L) noexcept nogil:
    """pack(...): the text, or nothing."""
    cdef Packer packer
    cdef int count = lua.gettop(L), i
    if not 0 < count <= MOST_AT_ONCE or not lua.checkstack(L, 8):
        return 0
    packer.L = L
    packer.pace = Pace(steps=0, looked=0)
    lua.pushnil(L)
    begin(&packer.text, &lua, L, count + 1)
    for i in range(1, count + 1):
        lua.pushvalue(L, i)
        if not pack_value(&packer, 0):
            return 0
        lua.settop(L, count + 1)
    lua.pushlstring(L, packer.text.start, packer.text.at - packer.text.start)
    return 1


# Unpacking ------------------------------------------------------------------------------------------------------------

cdef struct Unpacker:
    Pace pace
    Lua L
    const unsigned char* at
    const unsigned char* end


cdef bint take(Unpacker* unpacker, size_t size, uint64_t* number) noexcept nogil:
    """Read so many bytes as a number."""
    cdef size_t i
    if <size_t>(unpacker.end - unpacker.at) < size:
        return False
    number[0] = 0
    for i in range(size):
        number[0] = number[0] << 8 | unpacker.at[i]
    unpacker.at += size
    return True


cdef bint unpack_string(Unpacker* unpacker, uint64_t size) noexcept nogil:
    if <uint64_t>(unpacker.end - unpacker.at) < size:
        return False
    lua.pushlstring(unpacker.L, <const char*>unpacker.at, size)
    unpacker.at += size
    return True


cdef bint unpack_array(Unpacker* unpacker, uint64_t count, int depth) noexcept nogil:
    cdef Lua L = unpacker.L
    cdef uint64_t i
    if depth > MOST_UNPACKED or count > INT_MAX or not lua.checkstack(L, 6):
        return False
    lua.createtable(L, 0, 0)
    for i in range(1, count + 1):
        if not unpack_value(unpacker, depth):
            return False
        lua.rawseti(L, -2, <int>i)
    return True


cdef bint unpack_map(Unpacker* unpacker, uint64_t count, int depth) noexcept nogil:
    cdef Lua L = unpacker.L
    cdef uint64_t i
    if depth > MOST_UNPACKED or not lua.checkstack(L, 6):
        return False
    lua.createtable(L, 0, 0)
    for i in range(count):
        if not unpack_value(unpacker, depth) or lua.type(L, -1) == NIL or not unpack_value(unpacker, depth):
            return False
        lua.rawset(L, -3)
    return True


cdef bint unpack_long(Unpacker* unpacker, unsigned char header, int depth) noexcept nogil:
    """Push a value whose header is 0xC0 to 0xDF, behind which `at` is."""
    cdef Lua L = unpacker.L
    cdef uint64_t number
    cdef uint32_t bits
    cdef float single
    cdef double value
    if header == 0xC0:
        lua.pushnil(L)
        return True
    if header == 0xC2 or header == 0xC3:
        lua.pushboolean(L, header == 0xC3)
        return True
    if header == 0xCA:
        if not take(unpacker, 4, &number):
            return False
        bits = <uint32_t>number
        memcpy(&single, &bits, 4)
        value = single
    elif header == 0xCB:
        if not take(unpacker, 8, &number):
            return False
        memcpy(&value, &number, 8)
    elif 0xCC <= header <= 0xD3:
        if not take(unpacker, 1 << ((header - 0xCC) & 3), &number):
            return False
        if header == 0xD0:
            value = <int8_t>number
        elif header == 0xD1:
            value = <int16_t>number
        elif header == 0xD2:
            value = <int32_t>number
        else:
            value = <double><int64_t>number  # 64 bits are signed under either header
    elif 0xD9 <= header <= 0xDB:
        return take(unpacker, 1 << (header - 0xD9), &number) and unpack_string(unpacker, number)
    elif header == 0xDC or header == 0xDD:
        return take(unpacker, 2 if header == 0xDC else 4, &number) and unpack_array(unpacker, number, depth + 1)
    elif header == 0xDE or header == 0xDF:
        return take(unpacker, 2 if header == 0xDE else 4, &number) and unpack_map(unpacker, number, depth + 1)
    else:
        return False
    if value != value:
        return False
    lua.pushnumber(L, value)
    return True


cdef bint unpack_value(Unpacker* unpacker, int depth) noexcept nogil:
    """Push the value at `at`, with so many tables around it; False where that is not for here."""
    cdef unsigned char header
    pause(&lua, unpacker.L, &unpacker.pace)
    if unpacker.at == unpacker.end:
        return False
    header = unpacker.at[0]
    unpacker.at += 1
    if header < 0x80:
        lua.pushnumber(unpacker.L, header)
    elif header < 0x90:
        return unpack_map(unpacker, header - 0x80, depth + 1)
    elif header < 0xA0:
        return unpack_array(unpacker, header - 0x90, depth + 1)
    elif header < 0xC0:
        return unpack_string(unpacker, header - 0xA0)
    elif header >= 0xE0:
        lua.pushnumber(unpacker.L, <int>header - 256)
    else:
        return unpack_long(unpacker, header, depth)
    return True


cdef int unpack(Lua L) noexcept nogil:
    """unpack(text): true and the value that is all of the text, or nothing."""
    cdef Unpacker unpacker
    cdef size_t size
    cdef const char* text = lua.tolstring(L, 1, &size)
    unpacker.L = L
    unpacker.at = <const unsigned char*>text
    unpacker.end = unpacker.at + size
    unpacker.pace = Pace(steps=0, looked=0)
    lua.pushboolean(L, 1)
    if not unpack_value(&unpacker, 0) or unpacker.at != unpacker.end:
        return 0
    return 2


cdef int open_in_lua(Lua L) noexcept nogil:
    """open(): pack and unpack."""
    lua.pushcclosure(L, pack, 0)
    lua.pushcclosure(L, unpack, 0)
    return 2


trimaran_opened = open_in_lua


def usual(runtime):
    """pack and unpack for what is usual; nothing where Lua's C interface can't be had."""
    if not IS_THERE:
        return None, None
    load = runtime.eval("package.loadlib")
    opened = load(__file__.encode(), b"trimaran_cmsgpack") if load is not None else None
    return opened() if callable(opened) else (None, None)
