-- Roberto Ierusalimschy's struct library: values packed as C lays them out on a 64-bit machine.
local add_entries, fail, argument_error, type_error, formats, floats = ...
local steps_of, KIND = formats.steps_of, formats.KIND
local float_bytes, double_bytes = floats.float_bytes, floats.double_bytes
local float_at, double_at = floats.float_at, floats.double_at
local byte, char, concat, find = string.byte, string.char, table.concat, string.find
local floor, rep, reverse, select, strsub = math.floor, string.rep, string.reverse, select, string.sub
local tonumber, tostring, type, unpack = tonumber, tostring, type, unpack

setfenv(1, {})

local TWO_16, TWO_24, TWO_32, TWO_53, TWO_63, TWO_64 = 2 ^ 16, 2 ^ 24, 2 ^ 32, 2 ^ 53, 2 ^ 63, 2 ^ 64
local STACK_SLOTS = 8000  -- of a C function in Lua 5.1: arguments, results and two more must fit
local WORD = 8  -- bytes of the C library's integer type: those after them are zero

local SIGNED_BIG, UNSIGNED_BIG, SIGNED_LITTLE = KIND.SIGNED_BIG, KIND.UNSIGNED_BIG, KIND.SIGNED_LITTLE
local FLOAT_LITTLE, FLOAT_BIG, DOUBLE_LITTLE, DOUBLE_BIG =
    KIND.FLOAT_LITTLE, KIND.FLOAT_BIG, KIND.DOUBLE_LITTLE, KIND.DOUBLE_BIG
local PADDING, CHARS, STRING, CONTROL = KIND.PADDING, KIND.CHARS, KIND.STRING, KIND.CONTROL
local SIZE_ERROR, ALIGNMENT_ERROR, UNKNOWN_LETTER = KIND.SIZE_ERROR, KIND.ALIGNMENT_ERROR, KIND.UNKNOWN_LETTER

local function both(number, mask)
    local result, weight = 0, 1
    while mask > 0 do
        if mask % 2 == 1 and number % 2 >= 1 then
            result = result + weight
        end
        mask, number, weight = floor(mask / 2), floor(number / 2), weight * 2
    end
    return result
end

-- Returns the bytes between a position and the next multiple of size. If size is not a power of two, the C library's
-- bit arithmetic yields something else, and so does this.
local function bytes_to_alignment(position, size)
    return both(size - both(position, size - 1), size - 1)
end

local function truncated(number)
    return number < 0 and -floor(-number) or floor(number)
end

-- Converts to a 64-bit integer of either sign like C on x86-64: too small numbers become -2^63, too large ones 0.
local function to_word(number)
    if number >= TWO_64 then
        return 0
    elseif number >= -TWO_63 then
        return truncated(number)
    end
    return -TWO_63
end

local function integer_bytes(number, size, big)
    local value = number % 1 == 0 and number < TWO_53 and number > -TWO_53 and number or to_word(number)
    local result
    if size == 1 then
        return char(value % 256)
    elseif size == 2 then
        local low = value % 256
        local high = (value - low) / 256 % 256
        return big and char(high, low) or char(low, high)
    elseif size == 4 then
        local a = value % 256
        local b = (value - a) % TWO_16
        local c = (value - a - b) % TWO_24
        local d = (value - a - b - c) / TWO_24 % 256
        return big and char(d, c / TWO_16, b / 256, a) or char(a, b / 256, c / TWO_16, d)
    else
        local bytes = {}
        for i = 1, size < WORD and size or WORD do
            local low = value % 256
            bytes[i], value = low, (value - low) / 256
        end
        result = char(unpack(bytes)) .. rep("\0", size - WORD)
    end
    return big and reverse(result) or result
end

-- Reads an integer of any size, ignoring the bytes beyond the word. If its sign bit lies beyond the word, the C
-- library's shift wraps around, and the sign is taken from the bit where that ends up.
local function wide_integer(data, position, size, kind)
    local text = strsub(data, position + 1, position + size)
    if kind == SIGNED_BIG or kind == UNSIGNED_BIG then
        text = reverse(text)
    end
    local low, high = 0, 0
    for i = 4, 1, -1 do
        low = low * 256 + (byte(text, i) or 0)
        high = high * 256 + (byte(text, i + 4) or 0)
    end
    if kind == SIGNED_BIG or kind == SIGNED_LITTLE then
        local sign_bit = (size * 8 - 1) % 64
        if sign_bit >= 32 then
            local sign = 2 ^ (sign_bit - 32)
            if high >= sign then
                high = high % sign - sign
            end
        else
            local sign = 2 ^ sign_bit
            if high > 0 or low >= sign then
                return low % sign - sign
            end
        end
    end
    return high * TWO_32 + low
end

local function integer_at(data, position, size, kind)
    local value
    local is_big = kind == SIGNED_BIG or kind == UNSIGNED_BIG
    if size == 1 then
        value = byte(data, position + 1)
    elseif size == 2 then
        local a, b = byte(data, position + 1, position + 2)
        value = is_big and a * 256 + b or b * 256 + a
    elseif size == 4 then
        local a, b, c, d = byte(data, position + 1, position + 4)
        if is_big then
            a, b, c, d = d, c, b, a
        end
        value = ((d * 256 + c) * 256 + b) * 256 + a
    else
        return wide_integer(data, position, size, kind)
    end
    if kind == SIGNED_BIG or kind == SIGNED_LITTLE then
        local limit = 2 ^ (size * 8 - 1)
        return value < limit and value or value - 2 * limit
    end
    return value
end

-- Returns a string argument; numbers count as their texts.
local function string_argument(value, number, count)
    if type(value) == "string" then
        return value
    elseif type(value) == "number" then
        return tostring(value)
    end
    type_error(number, "string", value, count)
end

local function number_argument(value, number, count)
    if type(value) == "number" then
        return value
    end
    local result = tonumber(value)
    if not result then
        type_error(number, "number", value, count)
    end
    return result
end

local function number_bytes(kind, number, size)
    if kind <= SIGNED_BIG then
        return integer_bytes(number, size, kind >= UNSIGNED_BIG)
    elseif kind == FLOAT_BIG then
        return float_bytes(number)
    elseif kind == FLOAT_LITTLE then
        return reverse(float_bytes(number))
    elseif kind == DOUBLE_BIG then
        return double_bytes(number)
    end
    return reverse(double_bytes(number))
end

local function pack(...)
    -- a missing argument reads as nil, not as no value, because the C library pushes a nil there
    local count = select("#", ...) + 1
    local arguments = { ... }
    local steps, length = steps_of(string_argument(arguments[1], 1, count - 1))
    local parts, n, total, taken = {}, 0, 0, 1
    for i = 1, length, 3 do
        local kind, size, aligned = steps[i], steps[i + 1], steps[i + 2]
        if aligned > 1 then
            local missing = bytes_to_alignment(total, aligned)
            n = n + 1
            parts[n], total = rep("\0", missing), total + missing
        end
        if kind < PADDING then
            taken = taken + 1
            local number = arguments[taken]
            if type(number) ~= "number" then
                number = number_argument(number, taken, count)
            end
            n = n + 1
            parts[n] = number_bytes(kind, number, size)
        elseif kind == PADDING then
            n = n + 1
            parts[n] = "\0"
        elseif kind == CHARS or kind == STRING then
            taken = taken + 1
            local text = string_argument(arguments[taken], taken, count)
            if size == 0 then
                size = #text
            elseif #text < size then
                argument_error(taken + 1, "string too short")
            elseif #text > size then
                text = strsub(text, 1, size)
            end
            n = n + 1
            parts[n] = text
            if kind == STRING then
                n, size = n + 1, size + 1
                parts[n] = "\0"
            end
        elseif kind == SIZE_ERROR or kind == ALIGNMENT_ERROR then
            fail(size)
        elseif kind ~= CONTROL then
            argument_error(1, size)
        end
        total = total + size
    end
    return (concat(parts))
end

local function number_at(data, position, size, kind)
    if kind <= SIGNED_BIG then
        return integer_at(data, position, size, kind)
    end
    if kind == FLOAT_LITTLE or kind == DOUBLE_LITTLE then
        data, position = reverse(strsub(data, position + 1, position + size)), 0
    end
    if kind <= FLOAT_BIG then
        return float_at(data, position)
    end
    return double_at(data, position)
end

-- Returns the 0-based position at which unpack starts, and the position to return for an empty format.
local function start_argument(value, count)
    if value == nil then
        return 0, 1
    end
    local start = number_argument(value, 3, count)
    start = start >= TWO_63 and -TWO_63 or to_word(start)
    -- C reads a negative start as a position far beyond every string
    return start > 0 and start - 1 or TWO_64, start
end

-- Returns the size of a 'c0' text: the number read last, which then is not a result itself.
local function counted_size(results, n)
    local size = n > 0 and tonumber(results[n])
    return size and to_word(size)
end

local function unpack_values(...)
    local count = select("#", ...)
    local format, data, start = ...
    format = string_argument(format, 1, count)
    data = string_argument(data, 2, count)
    local position, first = start_argument(start, count)
    if first == 0 then
        argument_error(3, "offset must be 1 or greater")
    end
    local steps, length = steps_of(format)
    local results, n, available = {}, 0, #data
    for i = 1, length, 3 do
        local kind, size, aligned = steps[i], steps[i + 1], steps[i + 2]
        if kind == SIZE_ERROR then
            fail(size)
        end
        if aligned > 1 then
            position = position + bytes_to_alignment(position, aligned)
        end
        local needed = kind < ALIGNMENT_ERROR and size or 0
        if needed > available or position > available - needed then
            argument_error(2, "data string too short")
        elseif count + n + 2 > STACK_SLOTS then
            fail("stack overflow (too many results)")
        end
        if kind < PADDING then
            n = n + 1
            results[n] = number_at(data, position, size, kind)
        elseif kind == CHARS then
            if size == 0 then
                size = counted_size(results, n)
                if not size then
                    fail("format 'c0' needs a previous size")
                elseif size < 0 or size > available or position > available - size then
                    argument_error(2, "data string too short")
                end
                n = n - 1
            end
            n = n + 1
            results[n] = strsub(data, position + 1, position + size)
        elseif kind == STRING then
            local zero = find(data, "%z", position + 1)
            if not zero then
                fail("unfinished string in data")
            end
            n = n + 1
            results[n] = strsub(data, position + 1, zero - 1)
            size = zero - position
        elseif kind == ALIGNMENT_ERROR then
            fail(size)
        elseif kind >= UNKNOWN_LETTER then
            argument_error(1, size)
        end
        position = position + size
    end
    results[n + 1] = length == 0 and first or position + 1
    return results[1], unpack(results, 2, n + 1)
end

local function size(...)
    local format = ...
    local steps, length = steps_of(string_argument(format, 1, select("#", ...)))
    local total = 0
    for i = 1, length, 3 do
        local kind, bytes, aligned = steps[i], steps[i + 1], steps[i + 2]
        if aligned > 1 then
            total = total + bytes_to_alignment(total, aligned)
        end
        if kind == STRING then
            argument_error(1, "option 's' has no fixed size")
        elseif kind == CHARS and bytes == 0 then
            argument_error(1, "option 'c0' has no fixed size")
        elseif kind == SIZE_ERROR or kind == ALIGNMENT_ERROR then
            fail(bytes)
        elseif kind > UNKNOWN_LETTER then
            argument_error(1, bytes)
        elseif kind < UNKNOWN_LETTER then
            total = total + bytes
        end
    end
    return total
end

return add_entries({ pack = pack, unpack = unpack_values, size = size })
