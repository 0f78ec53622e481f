# cjson.encode for what is usual. Included by _cjson.pyx, which says what it leaves to Lua.

cdef struct Encoder:
    Text text
    Pace pace
    Lua L
    const void* null
    int most_nested
    bint converts_sparse
    double ratio, safe
    int precision


cdef void encode_string(Text* text, const unsigned char* bytes, size_t size) noexcept nogil:
    cdef size_t i = 0, start
    cdef unsigned char code
    cdef const char* digits = b"0123456789abcdef"
    put(text, c'"')
    while True:
        start = i
        while i < size and not IS_ESCAPED[bytes[i]]:
            i += 1
        put_text(text, <const char*>bytes + start, i - start)
        if i == size:
            break
        code = bytes[i]
        i += 1
        reserve(text, 6)
        text.at[0] = c"\\"
        if code == 34 or code == 92 or code == 47:
            text.at[1] = <char>code
        elif code == 8:
            text.at[1] = c"b"
        elif code == 9:
            text.at[1] = c"t"
        elif code == 10:
            text.at[1] = c"n"
        elif code == 12:
            text.at[1] = c"f"
        elif code == 13:
            text.at[1] = c"r"
        else:
            text.at[1] = c"u"
            text.at[2] = text.at[3] = c"0"
            text.at[4] = digits[code >> 4]
            text.at[5] = digits[code & 15]
            text.at += 4
        text.at += 2
    put(text, c'"')


cdef bint encode_number(Encoder* encoder, double number) noexcept nogil:
    cdef Text* text = &encoder.text
    cdef long long whole
    if number - number != 0:
        return False
    reserve(text, 32)
    if -MOST_DIGITS < number < MOST_DIGITS and encoder.precision == 14:
        whole = <long long>number
        if <double>whole == number and (whole or 1 / number > 0):
            if whole < 0:
                text.at[0] = c"-"
                text.at += 1
                whole = -whole
            text.at = put_number(text.at, whole)
            return True
    text.at += snprintf(text.at, 32, b"%.*g", encoder.precision, number)
    return True


cdef long long array_length(Encoder* encoder) noexcept nogil:
    """The largest index of the table on top if it is an array, 0 if it is to be an object; -1 for neither."""
    cdef Lua L = encoder.L
    cdef double key, largest = 0
    cdef long long items = 0
    lua.pushnil(L)
    while lua.next(L, -2):
        lua.settop(L, -2)
        if lua.type(L, -1) != NUMBER:
            lua.settop(L, -2)
            return 0
        key = lua.tonumber(L, -1)
        if not key >= 1 or key >= TWO_31 or key != <double><long long>key:
            lua.settop(L, -2)
            return 0 if key < TWO_31 else -1
        if key > largest:
            largest = key
        items += 1
        pause(&lua, L, &encoder.pace)
    if largest > encoder.safe and encoder.ratio > 0:
        if items * encoder.ratio >= TWO_31:
            return -1
        if largest > items * encoder.ratio:
            return 0 if encoder.converts_sparse else -1
    return <long long>largest


cdef bint encode_array(Encoder* encoder, int length, int depth) noexcept nogil:
    cdef int i
    put(&encoder.text, c"[")
    for i in range(1, length + 1):
        if i > 1:
            put(&encoder.text, c",")
        lua.rawgeti(encoder.L, -1, i)
        if not encode_value(encoder, depth):
            return False
        lua.settop(encoder.L, -2)
    put(&encoder.text, c"]")
    return True


cdef bint encode_object(Encoder* encoder, int depth) noexcept nogil:
    cdef Lua L = encoder.L
    cdef Text* text = &encoder.text
    cdef bint is_first = True
    cdef const char* key
    cdef size_t size
    cdef int kind
    put(text, c"{")
    lua.pushnil(L)
    while lua.next(L, -2):
        if not is_first:
            put(text, c",")
        is_first = False
        kind = lua.type(L, -2)
        if kind == STRING:
            key = lua.tolstring(L, -2, &size)
            encode_string(text, <const unsigned char*>key, size)
        elif kind == NUMBER:
            put(text, c'"')
            if not encode_number(encoder, lua.tonumber(L, -2)):
                return False
            put(text, c'"')
        else:
            return False
        put(text, c":")
        if not encode_value(encoder, depth):
            return False
        lua.settop(L, -2)
    put(text, c"}")
    return True


cdef bint encode_value(Encoder* encoder, int depth) noexcept nogil:
    """Encode the value on top, with so many tables around it; False where that is not for here."""
    cdef Lua L = encoder.L
    cdef int kind = lua.type(L, -1)
    cdef const char* text
    cdef size_t size
    cdef long long length
    pause(&lua, L, &encoder.pace)
    if kind == STRING:
        text = lua.tolstring(L, -1, &size)
        encode_string(&encoder.text, <const unsigned char*>text, size)
        return True
    if kind == NUMBER:
        return encode_number(encoder, lua.tonumber(L, -1))
    if kind == TABLE:
        if depth >= encoder.most_nested or not lua.checkstack(L, 6) or lua.getmetatable(L, -1):
            return False
        length = array_length(encoder)
        if length > 0:
            return encode_array(encoder, <int>length, depth + 1)
        return not length and encode_object(encoder, depth + 1)
    if kind == BOOLEAN:
        if lua.toboolean(L, -1):
            put_text(&encoder.text, b"true", 4)
        else:
            put_text(&encoder.text, b"false", 5)
        return True
    if kind == NIL or (kind == USERDATA and lua.touserdata(L, -1) == encoder.null):
        put_text(&encoder.text, b"null", 4)
        return True
    return False


cdef int encode(Lua L) noexcept nogil:
    """encode(value, max_depth, converts_sparse, ratio, safe, precision): the text, or nothing."""
    cdef Encoder encoder
    cdef double most_nested = lua.tonumber(L, 2)
    encoder.L = L
    encoder.null = lua.touserdata(L, upvalue(1))
    encoder.most_nested = <int>most_nested if most_nested < MOST_NESTED else MOST_NESTED
    encoder.converts_sparse = lua.toboolean(L, 3)
    encoder.ratio = lua.tonumber(L, 4)
    encoder.safe = lua.tonumber(L, 5)
    encoder.precision = <int>lua.tonumber(L, 6)
    encoder.pace = Pace(steps=0, looked=0)
    lua.settop(L, 6)
    lua.pushnil(L)
    begin(&encoder.text, &lua, L, 7)
    lua.pushvalue(L, 1)
    if not encode_value(&encoder, 0):
        return 0
    lua.pushlstring(L, encoder.text.start, encoder.text.at - encoder.text.start)
    return 1
