-- cmsgpack.pack: Lua values as MessagePack.
local fail, argument_error, floats, pack_usual = ...
local float_bytes, double_bytes, float_at = floats.float_bytes, floats.double_bytes, floats.float_at
local char, concat, next, select, type = string.char, table.concat, next, select, type

setfenv(1, {})

local TWO_8, TWO_16, TWO_24, TWO_32, TWO_63 = 2 ^ 8, 2 ^ 16, 2 ^ 24, 2 ^ 32, 2 ^ 63
local INT_MAX = 2147483647
local MOST_NESTED = 16  -- a table nested that deeply is packed as nil, which ends circular references

-- The stack of a C function in Lua 5.1. The C library keeps its arguments, their packed texts and the values that it
-- walks through there, and fails when there is no room for the next ones.
local STACK_SLOTS = 8000

-- One-byte headers and integers.
local BYTE = {}
for code = 0, 255 do
    BYTE[code] = char(code)
end
local FALSE, TRUE, NIL = BYTE[0xC2], BYTE[0xC3], BYTE[0xC0]

-- Big-endian bytes after a header; negative integers are encoded as two's complement.
local function two_bytes(header, integer)
    local b = integer % TWO_8
    return char(header, (integer - b) / TWO_8 % TWO_8, b)
end

local function four_bytes(header, integer)
    local d = integer % TWO_8
    local c = (integer - d) % TWO_16
    local b = (integer - c - d) % TWO_24
    return char(header, (integer - b - c - d) / TWO_24 % TWO_8, b / TWO_16, c / TWO_8, d)
end

local function eight_bytes(header, integer)
    local low = integer % TWO_32
    local h = low % TWO_8
    local g = (low - h) % TWO_16
    local f = (low - g - h) % TWO_24
    return four_bytes(header, (integer - low) / TWO_32)
        .. char((low - f - g - h) / TWO_24, f / TWO_16, g / TWO_8, h)
end

-- Returns the shortest form of a 64-bit integer.
local function integer_text(integer)
    if integer >= 0 then
        if integer <= 0x7F then
            return BYTE[integer]
        elseif integer <= 0xFF then
            return char(0xCC, integer)
        elseif integer <= 0xFFFF then
            return two_bytes(0xCD, integer)
        elseif integer < TWO_32 then
            return four_bytes(0xCE, integer)
        end
        return eight_bytes(0xCF, integer)
    elseif integer >= -32 then
        return BYTE[integer + 256]
    elseif integer >= -128 then
        return char(0xD0, integer + 256)
    elseif integer >= -32768 then
        return two_bytes(0xD1, integer)
    elseif integer >= -2147483648 then
        return four_bytes(0xD2, integer)
    end
    return eight_bytes(0xD3, integer)
end

-- Numbers without a fraction become integers, others floats if that loses nothing, otherwise doubles.
local function number_text(number)
    if number % 1 == 0 and number >= -TWO_63 and number < TWO_63 then
        return integer_text(number)
    end
    local float = float_bytes(number)
    if float_at(float, 0) == number then
        return "\202" .. float
    end
    return "\203" .. double_bytes(number)
end

local function string_text(text)
    local size = #text
    if size < 32 then
        return BYTE[0xA0 + size] .. text
    elseif size <= 0xFF then
        return char(0xD9, size) .. text
    elseif size <= 0xFFFF then
        return two_bytes(0xDA, size) .. text
    end
    return four_bytes(0xDB, size) .. text
end

-- Returns the header of an array or a map, in one of its three forms.
local function table_header(size, short, medium, long)
    if size <= 15 then
        return BYTE[short + size]
    elseif size <= 0xFFFF then
        return two_bytes(medium, size)
    end
    return four_bytes(long, size)
end

-- Returns the number of elements, and whether the table is an array: its keys are the integers from 1 to that number.
local function measured(value)
    local largest, count, is_array = 0, 0, true
    for key in next, value do
        count = count + 1
        if is_array then
            if type(key) ~= "number" or key <= 0 or key % 1 ~= 0 or key > INT_MAX then
                is_array = false
            elseif key > largest then
                largest = key
            end
        end
    end
    return count, is_array and largest == count
end

local function check_stack(used, more, place)
    if used + more > STACK_SLOTS then
        fail("stack overflow (in function " .. place .. ")")
    end
end

local append_table

-- Appends a value's text to the n parts, and returns the new number of parts. level is the number of enclosing tables,
-- used the number of the C library's stack slots in use, including the value.
local function append_value(value, level, used, parts, n)
    local kind = type(value)
    if kind == "string" then
        parts[n + 1] = string_text(value)
    elseif kind == "number" then
        parts[n + 1] = number_text(value)
    elseif kind == "boolean" then
        parts[n + 1] = value and TRUE or FALSE
    elseif kind == "table" and level < MOST_NESTED then
        return append_table(value, level, used, parts, n)
    else
        parts[n + 1] = NIL
    end
    return n + 1
end

function append_table(value, level, used, parts, n)
    local count, is_array = measured(value)
    check_stack(used, 2, "table_is_an_array")
    n = n + 1
    if is_array then
        parts[n] = table_header(count, 0x90, 0xDC, 0xDD)
        check_stack(used, 1, "mp_encode_lua_table_as_array")
        for i = 1, count do
            n = append_value(value[i], level + 1, used + 1, parts, n)
        end
        return n
    end
    check_stack(used, 3, "mp_encode_lua_table_as_map")
    parts[n] = table_header(count, 0x80, 0xDE, 0xDF)
    for key, item in next, value do
        n = append_value(key, level + 1, used + 3, parts, n)
        n = append_value(item, level + 1, used + 2, parts, n)
    end
    return n
end

return function(...)
    if pack_usual then
        local text = pack_usual(...)
        if text then
            return text
        end
    end
    local count = select("#", ...)
    if count == 0 then
        argument_error(0, "MessagePack pack needs input.")
    elseif 2 * count > STACK_SLOTS then
        argument_error(0, "Too many arguments for MessagePack pack.")
    end
    local parts = {}
    if count == 1 then
        append_value((...), 0, 2, parts, 0)
        return (concat(parts))
    end
    local values, n = { ... }, 0
    for i = 1, count do
        n = append_value(values[i], 0, count + i, parts, n)
    end
    return (concat(parts))
end
