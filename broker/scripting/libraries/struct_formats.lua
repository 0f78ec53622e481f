-- Formats of struct: each is parsed once into a list of steps, which pack, unpack and size walk through.
local byte, find, strsub = string.byte, string.find, string.sub

setfenv(1, {})

local INT_MAX = 2147483647
local LARGEST_INTEGER, LARGEST_ALIGNMENT = 32, 8
local LONGEST_KEPT, MOST_KEPT = 32, 50  -- limits of the cache: bytes per format, and number of formats

-- The kinds of steps. SIZE_ERROR is detected before an option is processed, the other errors after.
local KIND = {
    UNSIGNED_LITTLE = 1, SIGNED_LITTLE = 2, UNSIGNED_BIG = 3, SIGNED_BIG = 4, FLOAT_LITTLE = 5, FLOAT_BIG = 6,
    DOUBLE_LITTLE = 7, DOUBLE_BIG = 8, PADDING = 9, CHARS = 10, STRING = 11, CONTROL = 12, SIZE_ERROR = 13,
    ALIGNMENT_ERROR = 14, UNKNOWN_LETTER = 15, UNKNOWN_SIGN = 16,
}

local FIXED = { b = 1, B = 1, h = 2, H = 2, l = 8, L = 8, T = 8 }
local LITTLE = { unsigned = KIND.UNSIGNED_LITTLE, signed = KIND.SIGNED_LITTLE,
                 f = KIND.FLOAT_LITTLE, d = KIND.DOUBLE_LITTLE }
local BIG = { unsigned = KIND.UNSIGNED_BIG, signed = KIND.SIGNED_BIG, f = KIND.FLOAT_BIG, d = KIND.DOUBLE_BIG }

-- Returns the number at `at` or the default, and the position after it; nil for a number that does not fit an int.
local function number_at(format, at, default)
    local _, last = find(format, "^[0-9]+", at)
    if not last then
        return default, at
    end
    local number = 0
    for i = at, last do
        number = number * 10 + byte(format, i) - 48
        if number > INT_MAX then
            return nil, at
        end
    end
    return number, last + 1
end

local function is_power_of_two(number)
    while number > 1 do
        number = number / 2
    end
    return number == 1
end

-- Returns the kind, size or error text of an 'i', 'I' or 'c' option, and the position after it.
local function sized(format, at, option, order)
    local size
    size, at = number_at(format, at, option == "c" and 1 or 4)
    if not size then
        return KIND.SIZE_ERROR, "integral size overflow", at
    elseif option == "c" then
        return KIND.CHARS, size, at
    elseif size > LARGEST_INTEGER then
        return KIND.SIZE_ERROR, "integral size " .. size .. " is larger than limit of " .. LARGEST_INTEGER, at
    end
    return option == "i" and order.signed or order.unsigned, size, at
end

-- Returns the alignment after '!' and the position after it, or no alignment and the error text.
local function alignment_at(format, at)
    local alignment
    alignment, at = number_at(format, at, LARGEST_ALIGNMENT)
    if not alignment then
        return nil, "integral size overflow"
    elseif not is_power_of_two(alignment) then
        return nil, "alignment " .. alignment .. " is not a power of 2"
    end
    return alignment, at
end

-- Returns the steps of a format, three numbers each: kind, size in bytes (or the text of an error), and the number of
-- bytes to align to, 0 for no alignment. Parsing ends at anything that makes every function raise.
local function read(format)
    local steps, n, at, order, alignment = {}, 0, 1, LITTLE, 1
    while at <= #format do
        local option = strsub(format, at, at)
        local kind, size = KIND.CONTROL, 0
        at = at + 1
        if FIXED[option] then
            size = FIXED[option]
            kind = find(option, "[bhl]") and order.signed or order.unsigned
        elseif option == "i" or option == "I" or option == "c" then
            kind, size, at = sized(format, at, option, order)
        elseif option == "f" or option == "d" then
            kind, size = order[option], option == "f" and 4 or 8
        elseif option == "x" then
            kind, size = KIND.PADDING, 1
        elseif option == "s" then
            kind = KIND.STRING
        elseif option == ">" then
            order = BIG
        elseif option == "<" then
            order = LITTLE
        elseif option == "!" then
            local found, rest = alignment_at(format, at)
            if found then
                alignment, at = found, rest
            else
                kind, size = KIND.ALIGNMENT_ERROR, rest
            end
        elseif option ~= " " then
            kind = find(option, "[0-9A-Za-z]") and KIND.UNKNOWN_LETTER or KIND.UNKNOWN_SIGN
        end
        local aligned = 0
        if kind < KIND.CHARS then
            aligned = size < alignment and size or alignment
        end
        steps[n + 1], steps[n + 2], steps[n + 3] = kind, size, aligned
        if kind == KIND.UNKNOWN_LETTER or kind == KIND.UNKNOWN_SIGN then
            steps[n + 2], steps[n + 3] = "invalid format option '" .. option .. "'", 0
        end
        n = n + 3
        if kind == KIND.SIZE_ERROR or kind == KIND.ALIGNMENT_ERROR or kind == KIND.UNKNOWN_SIGN then
            break
        end
    end
    return steps, n
end

local kept, kept_count, lengths = {}, 0, {}

-- Returns the steps of a format and how many numbers these are. A format ends at a zero byte, like C's strings.
local function steps_of(format)
    local steps = kept[format]
    if steps then
        return steps, lengths[format]
    end
    local zero = find(format, "%z")
    local length
    steps, length = read(zero and strsub(format, 1, zero - 1) or format)
    if #format <= LONGEST_KEPT then
        if kept_count >= MOST_KEPT then
            kept, lengths, kept_count = {}, {}, 0
        end
        kept[format], lengths[format], kept_count = steps, length, kept_count + 1
    end
    return steps, length
end

return { steps_of = steps_of, KIND = KIND }
