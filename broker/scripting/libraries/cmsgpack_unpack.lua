-- cmsgpack.unpack, unpack_one and unpack_limit: MessagePack as Lua values.
local fail, type_error, floats, unpack_usual = ...
local float_at, double_at = floats.float_at, floats.double_at
local byte, error, floor, select, strsub = string.byte, error, math.floor, select, string.sub
local tonumber, tostring, type, unpack = tonumber, tostring, type, unpack

setfenv(1, {})

local TWO_31, TWO_32, TWO_63 = 2 ^ 31, 2 ^ 32, 2 ^ 63
local INT_MAX = 2147483647

-- The stack of a C function in Lua 5.1. The C library keeps its text and the values to return there and, while inside
-- them, arrays with an index and maps with a key.
local STACK_SLOTS = 8000

local function check_stack(used, message)
    if used + 1 > STACK_SLOTS then
        fail("stack overflow (" .. message .. ")")
    end
end

local function need(data, last)
    if last > #data then
        fail("Missing bytes in input.")
    end
end

local function unsigned_16(data, at)
    need(data, at + 2)
    local a, b = byte(data, at + 1, at + 2)
    return a * 256 + b
end

local function unsigned_32(data, at)
    need(data, at + 4)
    local a, b, c, d = byte(data, at + 1, at + 4)
    return ((a * 256 + b) * 256 + c) * 256 + d
end

-- 64 bits are signed under either header, because the C library's integer is signed.
local function signed_64(data, at)
    need(data, at + 8)
    local high = unsigned_32(data, at)
    if high >= TWO_31 then
        high = high - TWO_32
    end
    return high * TWO_32 + unsigned_32(data, at + 4)
end

local function text_at(data, first, size)
    local behind = first + size
    need(data, behind - 1)
    return strsub(data, first, behind - 1), behind
end

local decode_value

local function decode_array(data, at, length, used)
    check_stack(used + 1, "in function mp_decode_to_lua_array")
    local array = {}
    for i = 1, length do
        array[i], at = decode_value(data, at, used + 2)
    end
    return array, at
end

local function decode_map(data, at, length, used)
    local map = {}
    for _ = 1, length do
        local key, item
        key, at = decode_value(data, at, used + 1)
        item, at = decode_value(data, at, used + 2)
        if key == nil then
            error("table index is nil", 0)
        elseif key ~= key then
            error("table index is NaN", 0)
        end
        map[key] = item
    end
    return map, at
end

-- Values by their header, 0xC0 to 0xDF.
local LONG = {
    [0xC0] = function(_, at)
        return nil, at + 1
    end,
    [0xC2] = function(_, at)
        return false, at + 1
    end,
    [0xC3] = function(_, at)
        return true, at + 1
    end,
    [0xCA] = function(data, at)
        need(data, at + 4)
        return float_at(data, at), at + 5
    end,
    [0xCB] = function(data, at)
        need(data, at + 8)
        return double_at(data, at), at + 9
    end,
    [0xCC] = function(data, at)
        need(data, at + 1)
        return byte(data, at + 1), at + 2
    end,
    [0xCD] = function(data, at)
        return unsigned_16(data, at), at + 3
    end,
    [0xCE] = function(data, at)
        return unsigned_32(data, at), at + 5
    end,
    [0xCF] = function(data, at)
        return signed_64(data, at), at + 9
    end,
    [0xD0] = function(data, at)
        need(data, at + 1)
        local value = byte(data, at + 1)
        return value < 128 and value or value - 256, at + 2
    end,
    [0xD1] = function(data, at)
        local value = unsigned_16(data, at)
        return value < 32768 and value or value - 65536, at + 3
    end,
    [0xD2] = function(data, at)
        local value = unsigned_32(data, at)
        return value < TWO_31 and value or value - TWO_32, at + 5
    end,
    [0xD3] = function(data, at)
        return signed_64(data, at), at + 9
    end,
    [0xD9] = function(data, at)
        need(data, at + 1)
        return text_at(data, at + 2, byte(data, at + 1))
    end,
    [0xDA] = function(data, at)
        return text_at(data, at + 3, unsigned_16(data, at))
    end,
    [0xDB] = function(data, at)
        return text_at(data, at + 5, unsigned_32(data, at))
    end,
    [0xDC] = function(data, at, used)
        return decode_array(data, at + 3, unsigned_16(data, at), used)
    end,
    [0xDD] = function(data, at, used)
        return decode_array(data, at + 5, unsigned_32(data, at), used)
    end,
    [0xDE] = function(data, at, used)
        return decode_map(data, at + 3, unsigned_16(data, at), used)
    end,
    [0xDF] = function(data, at, used)
        return decode_map(data, at + 5, unsigned_32(data, at), used)
    end,
}

-- Returns the value at `at` and the position after it. used is the number of the C library's stack slots before it.
function decode_value(data, at, used)
    local header = byte(data, at)
    if not header then
        fail("Missing bytes in input.")
    elseif used + 1 > STACK_SLOTS then
        check_stack(used, "too many return values at once; use unpack_one or unpack_limit instead.")
    end
    if header < 0x80 then
        return header, at + 1
    elseif header < 0x90 then
        return decode_map(data, at + 1, header - 0x80, used)
    elseif header < 0xA0 then
        return decode_array(data, at + 1, header - 0x90, used)
    elseif header < 0xC0 then
        local behind = at + header - 0x9F
        if behind > #data + 1 then
            need(data, behind - 1)
        end
        return strsub(data, at + 1, behind - 1), behind
    elseif header >= 0xE0 then
        return header - 256, at + 1
    end
    local decode = LONG[header]
    if not decode then
        fail("Bad data format in input.")
    end
    return decode(data, at, used)
end

local function as_int(integer)
    local low = integer % TWO_32
    return low < TWO_31 and low or low - TWO_32
end

local function integer_argument(value, number, count)
    local given = tonumber(value)
    if not given then
        type_error(number, "number", value, count)
    elseif given >= -TWO_63 and given < TWO_63 then
        return given < 0 and -floor(-given) or floor(given)
    end
    return -TWO_63
end

local function string_argument(value, count)
    if type(value) == "string" then
        return value
    elseif type(value) == "number" then
        return tostring(value)
    end
    type_error(1, "string", value, count)
end

-- Returns at most `limit` values from an offset on, their number, and the position after them. used is the number of
-- the C library's stack slots before the first value.
local function decode_values(data, limit, offset, used)
    if offset < 0 or limit < 0 then
        -- the C library's text reports the length as the limit
        local place = "offset of " .. as_int(offset) .. " and limit of " .. as_int(#data)
        fail("Invalid request to unpack with " .. place .. ".")
    elseif offset > #data then
        fail("Start offset " .. as_int(offset) .. " greater than input length " .. as_int(#data) .. ".")
    end
    local values, n, at, size = {}, 0, offset + 1, #data
    while at <= size and n < limit do
        values[n + 1], at = decode_value(data, at, used + n)
        n = n + 1
    end
    return values, n, at
end

-- Lua's unpack for as many values as fit on a C function's stack; it needs three slots itself.
local function all_of(values, n)
    if n > STACK_SLOTS - 3 then
        return values[1], values[2], values[3], unpack(values, 4, n)
    end
    return unpack(values, 1, n)
end

-- Functions that scripts call must not end in a call that can fail: a failing tail call would lose the script's line.

local function unpack_all(...)
    local count = select("#", ...)
    if unpack_usual and count == 1 and type((...)) == "string" then
        local worked, value = unpack_usual(...)
        if worked then
            return value
        end
    end
    local values, n = decode_values(string_argument((...), count), INT_MAX, 0, count)
    return all_of(values, n)
end

-- Returns as many values as requested, preceded by the offset after them, which is -1 at the end. If no values from
-- offset 0 are requested, the C library returns all of them and no offset.
local function decode_some(data, limit, offset)
    if limit == 0 and offset == 0 then
        local values, n = decode_values(data, INT_MAX, 0, 1)
        return values, n
    end
    local values, n, at = decode_values(data, limit, offset, 1)
    check_stack(n + 1, "in function mp_unpack_full")
    return values, n, at > #data and -1 or at - 1
end

local function results(values, n, offset)
    if not offset then
        return all_of(values, n)
    end
    return offset, all_of(values, n)
end

local function unpack_one(...)
    local data, offset = ...
    local count = select("#", ...)
    offset = offset == nil and 0 or integer_argument(offset, 2, count)
    return results(decode_some(string_argument(data, count), 1, offset))
end

local function unpack_limit(...)
    local data, limit, offset = ...
    local count = select("#", ...)
    limit = integer_argument(limit, 2, count)
    offset = offset == nil and 0 or integer_argument(offset, 3, count)
    return results(decode_some(string_argument(data, count), limit, offset))
end

return unpack_all, unpack_one, unpack_limit
