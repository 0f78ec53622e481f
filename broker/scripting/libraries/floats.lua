-- Converts doubles to big-endian IEEE 754 bytes and back, in single and double precision.
--
-- This is in Lua, though Python has it: Lua would allocate Python's strings underneath Python's own frames, and if the
-- runtime's memory is exhausted, Lua's error jumps over them. Python only returns numbers, and only for NaNs, whose
-- sign and payload Lua cannot read: nan_bits(number) returns their two halves, nan_of(high, low) reverses that.
local nan_bits, nan_of = ...
local byte, char, floor, frexp, ldexp = string.byte, string.char, math.floor, math.frexp, math.ldexp

setfenv(1, {})

local HUGE = 1 / 0
local TWO_8, TWO_16, TWO_24, TWO_32 = 2 ^ 8, 2 ^ 16, 2 ^ 24, 2 ^ 32
local SIGN = 2 ^ 31  -- of a float, and in the high half of a double

-- A float has 23 bits of fraction, a double 52, of which 20 are in the high half.
local FLOAT_UNIT, FLOAT_INFINITY, FLOAT_QUIET = 2 ^ 23, 255 * 2 ^ 23, 2 ^ 22
local DOUBLE_UNIT, DOUBLE_HIGH_UNIT, DOUBLE_INFINITY, DOUBLE_QUIET = 2 ^ 52, 2 ^ 20, 2047 * 2 ^ 20, 2 ^ 19
local LOST = 2 ^ 29  -- divides the fraction of a double's NaN to get that of a float

local function four_bytes(number)
    local d = number % TWO_8
    local c = (number - d) % TWO_16
    local b = (number - c - d) % TWO_24
    return char((number - b - c - d) / TWO_24, b / TWO_16, c / TWO_8, d)
end

-- Rounds to the nearest integer, and halves to even.
local function rounded(number)
    local below = floor(number)
    local rest = number - below
    if rest > 0.5 or (rest == 0.5 and below % 2 == 1) then
        return below + 1
    end
    return below
end

-- Returns the bits of a positive number, the exponent above the fraction: a fraction rounded up to a whole unit carries
-- into the exponent, and finally becomes infinity.
local function positive_float(number)
    local fraction, exponent = frexp(number)
    if number == HUGE or exponent > 128 then
        return FLOAT_INFINITY
    elseif exponent < -125 then
        return rounded(ldexp(number, 149))
    end
    return (exponent + 125) * FLOAT_UNIT + rounded(fraction * 2 * FLOAT_UNIT)
end

local function float_bytes(number)
    if number > 0 then
        return four_bytes(positive_float(number))
    elseif number < 0 then
        return four_bytes(SIGN + positive_float(-number))
    elseif number == 0 then
        return 1 / number < 0 and "\128\0\0\0" or "\0\0\0\0"
    end
    local high, low = nan_bits(number)
    local fraction = high % DOUBLE_HIGH_UNIT * (TWO_32 / LOST) + floor(low / LOST)
    local quiet = fraction < FLOAT_QUIET and FLOAT_QUIET or 0
    return four_bytes((high >= SIGN and SIGN or 0) + FLOAT_INFINITY + quiet + fraction)
end

-- Returns the two halves of a positive number's bits.
local function positive_double(number)
    if number == HUGE then
        return DOUBLE_INFINITY, 0
    end
    local fraction, exponent = frexp(number)
    if exponent < -1021 then
        fraction, exponent = ldexp(number, 1074), 0
    else
        fraction, exponent = fraction * 2 * DOUBLE_UNIT - DOUBLE_UNIT, exponent + 1022
    end
    local low = fraction % TWO_32
    return exponent * DOUBLE_HIGH_UNIT + (fraction - low) / TWO_32, low
end

local function double_bytes(number)
    local high, low
    if number > 0 then
        high, low = positive_double(number)
    elseif number < 0 then
        high, low = positive_double(-number)
        high = high + SIGN
    elseif number == 0 then
        return 1 / number < 0 and "\128\0\0\0\0\0\0\0" or "\0\0\0\0\0\0\0\0"
    else
        high, low = nan_bits(number)
    end
    return four_bytes(high) .. four_bytes(low)
end

-- Returns the number in the four bytes after a position.
local function float_at(data, position)
    local a, b, c, d = byte(data, position + 1, position + 4)
    local sign = a >= 128
    local bits = ((a % 128 * TWO_8 + b) * TWO_8 + c) * TWO_8 + d
    local fraction = bits % FLOAT_UNIT
    local number
    if bits < FLOAT_UNIT then
        number = ldexp(fraction, -149)
    elseif bits < FLOAT_INFINITY then
        number = ldexp(fraction + FLOAT_UNIT, (bits - fraction) / FLOAT_UNIT - 150)
    elseif fraction == 0 then
        number = HUGE
    else
        local low = fraction * LOST % TWO_32
        local quiet = fraction < FLOAT_QUIET and DOUBLE_QUIET or 0
        local high = DOUBLE_INFINITY + quiet + (fraction * LOST - low) / TWO_32
        return (nan_of(sign and high + SIGN or high, low))
    end
    return sign and -number or number
end

-- Returns the number in the eight bytes after a position.
local function double_at(data, position)
    local a, b, c, d, e, f, g, h = byte(data, position + 1, position + 8)
    local sign = a >= 128
    local high = ((a % 128 * TWO_8 + b) * TWO_8 + c) * TWO_8 + d
    local low = ((e * TWO_8 + f) * TWO_8 + g) * TWO_8 + h
    local high_fraction = high % DOUBLE_HIGH_UNIT
    local fraction = high_fraction * TWO_32 + low
    local number
    if high < DOUBLE_HIGH_UNIT then
        number = ldexp(fraction, -1074)
    elseif high < DOUBLE_INFINITY then
        number = ldexp(fraction + DOUBLE_UNIT, (high - high_fraction) / DOUBLE_HIGH_UNIT - 1075)
    elseif fraction == 0 then
        number = HUGE
    else
        return (nan_of(sign and high + SIGN or high, low))
    end
    return sign and -number or number
end

return { float_bytes = float_bytes, double_bytes = double_bytes, float_at = float_at, double_at = double_at }
