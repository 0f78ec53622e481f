-- Lua BitOp on Lua 5.1's doubles: every argument is taken modulo 2^32, every result is a signed 32-bit number.
local add_entries, type_error = ...
local floor, format, frexp, select, tonumber, type = math.floor, string.format, math.frexp, select, tonumber, type
local strsub = string.sub

setfenv(1, {})

-- Adding 2^52 + 2^51 moves the integral part of a double into the low bits of its mantissa, rounded to even. That is
-- BitOp's conversion, so that results are the same for numbers too large to have 32 exact bits.
local SHIFTER = 6755399441055744
local TWO_31, TWO_32, TWO_52, TWO_53 = 2147483648, 4294967296, 4503599627370496, 9007199254740992

-- The AND of any two 6-bit numbers a and b, at index a * 64 + b.
local AND = {}
for a = 0, 63 do
    for b = 0, 63 do
        local both, weight, x, y = 0, 1, a, b
        while x > 0 and y > 0 do
            local p, q = x % 2, y % 2
            if p + q == 2 then
                both = both + weight
            end
            x, y, weight = (x - p) / 2, (y - q) / 2, weight * 2
        end
        AND[a * 64 + b] = both
    end
end

local POWER = {}
for n = 0, 32 do
    POWER[n] = 2 ^ n
end

-- Returns an argument as unsigned 32 bits.
local function bits(value, number, count)
    local n = value
    if type(value) ~= "number" then
        n = tonumber(value)
        if n == nil then
            type_error(number, "number", value, count)
        end
    end
    n = n + SHIFTER
    if n >= TWO_52 and n < TWO_53 then
        return n % TWO_32
    end
    if n ~= n or n - n ~= 0 then
        return 0
    end
    n = frexp(n) * TWO_53
    return (n < 0 and -n or n) % TWO_32
end

local function signed(n)
    if n >= TWO_31 then
        return n - TWO_32
    end
    return n
end

local function both(a, b)
    local result, weight = 0, 1
    while a > 0 and b > 0 do
        local x, y = a % 64, b % 64
        result = result + AND[x * 64 + y] * weight
        a, b, weight = (a - x) / 64, (b - y) / 64, weight * 64
    end
    return result
end

local function tobit(...)
    local value = ...
    return (signed(bits(value, 1, select("#", ...))))
end

local function bnot(...)
    local value = ...
    return (signed(TWO_32 - 1 - bits(value, 1, select("#", ...))))
end

-- Arguments after the first are read from the last to the second, the order in which BitOp reports bad ones.
local function band(...)
    local count = select("#", ...)
    local first, second = ...
    local result = bits(first, 1, count)
    if count > 2 then
        local all = { ... }
        for number = count, 3, -1 do
            result = both(result, bits(all[number], number, count))
        end
    end
    if count > 1 then
        result = both(result, bits(second, 2, count))
    end
    return (signed(result))
end

local function bor(...)
    local count = select("#", ...)
    local first, second = ...
    local result = bits(first, 1, count)
    if count > 2 then
        local all = { ... }
        for number = count, 3, -1 do
            local other = bits(all[number], number, count)
            result = result + other - both(result, other)
        end
    end
    if count > 1 then
        local other = bits(second, 2, count)
        result = result + other - both(result, other)
    end
    return (signed(result))
end

local function bxor(...)
    local count = select("#", ...)
    local first, second = ...
    local result = bits(first, 1, count)
    if count > 2 then
        local all = { ... }
        for number = count, 3, -1 do
            local other = bits(all[number], number, count)
            result = result + other - 2 * both(result, other)
        end
    end
    if count > 1 then
        local other = bits(second, 2, count)
        result = result + other - 2 * both(result, other)
    end
    return (signed(result))
end

local function lshift(...)
    local value, by = ...
    local count = select("#", ...)
    local n = bits(value, 1, count)
    return (signed(n * POWER[bits(by, 2, count) % 32] % TWO_32))
end

local function rshift(...)
    local value, by = ...
    local count = select("#", ...)
    local n = bits(value, 1, count)
    return (signed(floor(n / POWER[bits(by, 2, count) % 32])))
end

local function arshift(...)
    local value, by = ...
    local count = select("#", ...)
    local n = signed(bits(value, 1, count))
    return (floor(n / POWER[bits(by, 2, count) % 32]))
end

-- Returns n rotated left by 0 to 32 bits: the low bits move up, and those shifted out at the top come in below.
local function rotated(n, by)
    local low = n % POWER[32 - by]
    return low * POWER[by] + (n - low) / POWER[32 - by]
end

local function rol(...)
    local value, by = ...
    local count = select("#", ...)
    local n = bits(value, 1, count)
    return (signed(rotated(n, bits(by, 2, count) % 32)))
end

local function ror(...)
    local value, by = ...
    local count = select("#", ...)
    local n = bits(value, 1, count)
    return (signed(rotated(n, 32 - bits(by, 2, count) % 32) % TWO_32))
end

local function bswap(...)
    local value = ...
    local n = bits(value, 1, select("#", ...))
    local a = n % 256
    n = (n - a) / 256
    local b = n % 256
    n = (n - b) / 256
    local c = n % 256
    return (signed(((a * 256 + b) * 256 + c) * 256 + (n - c) / 256))
end

-- The second argument is the number of digits, negative for capitals, 8 by default.
local function tohex(...)
    local count = select("#", ...)
    local value, wanted = ...
    local n = bits(value, 1, count)
    local digits = count < 2 and 8 or signed(bits(wanted, 2, count))
    local text
    if digits < 0 then
        text, digits = format("%08X", n), -digits
    else
        text = format("%08x", n)
    end
    if digits >= 8 then
        return text
    end
    return (strsub(text, 9 - digits))
end

return add_entries({
    tobit = tobit,
    tohex = tohex,
    bnot = bnot,
    band = band,
    bor = bor,
    bxor = bxor,
    lshift = lshift,
    rshift = rshift,
    arshift = arshift,
    rol = rol,
    ror = ror,
    bswap = bswap,
})
