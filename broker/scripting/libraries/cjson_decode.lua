-- cjson.decode: JSON text as a Lua value.
--
-- The usual forms are recognised by one pattern each; what they do not cover (escapes, odd numbers, errors) goes
-- the careful way, which reads as the C library does: a zero byte ends the text, numbers are what C's strtod takes.
local fail, argument_error, type_error, null, decode_usual = ...
local byte, char, concat, find, floor = string.byte, string.char, table.concat, string.find, math.floor
local match, select, setmetatable, strsub = string.match, select, setmetatable, string.sub
local tonumber, tostring, type = tonumber, tostring, type

setfenv(1, {})

-- What a C function of Lua 5.1 may use of the stack, on which the C library keeps its text, one slot for each array
-- and two for each object around a value.
local STACK_SLOTS = 8000
local OBJECT_SLOTS, ARRAY_SLOTS, METATABLE_SLOTS = 3, 2, 2  -- free ones that are asked for at their beginning

local SPACE, QUOTE, COMMA, MINUS, NINE, COLON, BACKSLASH = 32, 34, 44, 45, 57, 58, 92
local BRACKET, BRACKET_END, BRACE, BRACE_END, CAPITAL_X, SMALL_X = 91, 93, 123, 125, 88, 120

local SPACES = "^[ \t\n\r]*"
local TOKENS = { [BRACE] = "T_OBJ_BEGIN", [BRACE_END] = "T_OBJ_END", [BRACKET] = "T_ARR_BEGIN",
                 [BRACKET_END] = "T_ARR_END", [COLON] = "T_COLON", [COMMA] = "T_COMMA", [0] = "T_END" }
local PLAIN_STRING = '^"([^"\\%z]*)"'
local PLAIN_KEY = '^[ \t\n\r]*"([^"\\%z]*)"[ \t\n\r]*:[ \t\n\r]*'
local PLAIN_NUMBER = "^(-?%d+%.?%d*[eE]?[-+]?%d*)"
local INFINITY, INF = "^[iI][nN][fF][iI][nN][iI][tT][yY]", "^[iI][nN][fF]"
local NAN_WITH_PAYLOAD, NAN = "^[nN][aA][nN]%([%w_]*%)", "^[nN][aA][nN]"
local ESCAPES = { ['"'] = '"', ["\\"] = "\\", ["/"] = "/", b = "\b", t = "\t", n = "\n", f = "\f", r = "\r" }

local function after_spaces(text, at)
    local _, last = find(text, SPACES, at)
    return last + 1
end

local function utf8(code)
    if code < 0x80 then
        return char(code)
    elseif code < 0x800 then
        return char(0xC0 + floor(code / 0x40), 0x80 + code % 0x40)
    elseif code < 0x10000 then
        return char(0xE0 + floor(code / 0x1000), 0x80 + floor(code / 0x40) % 0x40, 0x80 + code % 0x40)
    end
    return char(0xF0 + floor(code / 0x40000), 0x80 + floor(code / 0x1000) % 0x40, 0x80 + floor(code / 0x40) % 0x40,
                0x80 + code % 0x40)
end

-- The bytes for a \u escape, or for a pair of them, and the position behind; nothing for an invalid one.
local function unicode_escape(text, at)
    local digits = match(text, "^\\u(%x%x%x%x)", at)
    local code = digits and tonumber(digits, 16)
    if not code or code < 0xD800 or code > 0xDFFF then
        return code and utf8(code), at + 6
    end
    local low = code < 0xDC00 and match(text, "^\\u([dD][c-fC-F]%x%x)", at + 6)
    if low then
        return utf8((code - 0xD800) * 0x400 + tonumber(low, 16) - 0xDC00 + 0x10000), at + 12
    end
end

-- A string with escapes, whose quote stands at `at`: the string and the position behind its other quote; or nothing,
-- the error and the position of it.
local function careful_string(text, at)
    local parts, n, from = {}, 0, at + 1
    while true do
        local stop = find(text, '["\\%z]', from) or #text + 1
        local code = byte(text, stop)
        n = n + 1
        parts[n] = strsub(text, from, stop - 1)
        if code == QUOTE then
            return concat(parts), stop + 1
        elseif code ~= BACKSLASH then
            return nil, "unexpected end of string", stop
        end
        local letter = strsub(text, stop + 1, stop + 1)
        local meant = ESCAPES[letter]
        from = stop + 2
        if letter == "u" then
            meant, from = unicode_escape(text, stop)
            if not meant then
                return nil, "invalid unicode escape code", stop
            end
        elseif not meant then
            return nil, "invalid escape code", stop
        end
        n = n + 1
        parts[n] = meant
    end
end

-- The last position of what strtod takes for a number, sign and all; nothing if it takes nothing.
local function number_end(text, at)
    local _, before = find(text, "^[-+]?", at)
    local _, last, digits = find(text, "^0[xX](%x*%.?%x*)", before + 1)
    local exponent = "^[pP][-+]?%d+"
    if not (digits and find(digits, "%x")) then
        _, last, digits = find(text, "^(%d*%.?%d*)", before + 1)
        exponent = "^[eE][-+]?%d+"
    end
    if find(digits, "%x") then
        local _, exponent_end = find(text, exponent, last + 1)
        return exponent_end or last
    end
    _, last = find(text, INFINITY, before + 1)
    if not last then
        _, last = find(text, INF, before + 1)
    end
    if not last then
        _, last = find(text, NAN_WITH_PAYLOAD, before + 1)
    end
    if not last then
        _, last = find(text, NAN, before + 1)
    end
    return last
end

-- JSON has no other numbers than these forms forbid: a plus, hexadecimal digits, leading zeros, infinities and NaN.
local function is_invalid_number(text, at)
    local from = byte(text, at) == MINUS and at + 1 or at
    return find(text, "^+", at) or find(text, "^0[xX%d]", from) or find(text, INF, from)
        or find(text, NAN, from)
end

-- A number in any form: the number and the position behind it; or nothing and the error.
local function careful_number(settings, text, at)
    if not settings.decode_invalid_numbers and is_invalid_number(text, at) then
        return nil, "invalid number"
    end
    local last = number_end(text, at)
    if not last then
        return nil, "invalid number"
    end
    return tonumber(strsub(text, at, last)), last + 1
end

-- What stands at `at`, where something else had been expected: the name of the token or of its error, and where.
local function token_at(settings, text, at)
    local code = byte(text, at) or 0
    if TOKENS[code] then
        return TOKENS[code], at
    elseif code == QUOTE then
        local string, wrong, where = careful_string(text, at)
        return string and "T_STRING" or wrong, where or at
    elseif find(text, "^true", at) or find(text, "^false", at) then
        return "T_BOOLEAN", at
    elseif find(text, "^null", at) then
        return "T_NULL", at
    elseif find(text, "^[-%d]", at) or (settings.decode_invalid_numbers and is_invalid_number(text, at)) then
        local number, wrong = careful_number(settings, text, at)
        return number and "T_NUMBER" or wrong, at
    end
    return "invalid token", at
end

local function unexpected(settings, text, at, expected)
    local found, where = token_at(settings, text, after_spaces(text, at))
    fail("Expected " .. expected .. " but found " .. found .. " at character " .. where)
end

-- A value whose first byte says that it is no string, table or plain number.
local function odd_value(settings, text, at)
    if find(text, "^true", at) then
        return true, at + 4
    elseif find(text, "^false", at) then
        return false, at + 5
    elseif find(text, "^null", at) then
        return null, at + 4
    elseif find(text, "^[-%d]", at) or (settings.decode_invalid_numbers and is_invalid_number(text, at)) then
        local number, behind = careful_number(settings, text, at)
        if number then
            return number, behind
        end
    end
    unexpected(settings, text, at, "value")
end

local function check_depth(settings, depth, used, at)
    if depth > settings.decode_max_depth or used > STACK_SLOTS then
        fail("Found too many nested data structures (" .. depth .. ") at character " .. at)
    end
end

local decode_value

local function decode_object(settings, text, at, depth, used)
    check_depth(settings, depth, used + OBJECT_SLOTS, at)
    local object = {}
    at = after_spaces(text, at + 1)
    if byte(text, at) == BRACE_END then
        return object, at + 1
    end
    while true do
        local _, last, key = find(text, PLAIN_KEY, at)
        if last then
            at = last + 1
        else
            at = after_spaces(text, at)
            if byte(text, at) ~= QUOTE then
                unexpected(settings, text, at, "object key string")
            end
            key, last = careful_string(text, at)
            if not key then
                unexpected(settings, text, at, "object key string")
            end
            at = after_spaces(text, last)
            if byte(text, at) ~= COLON then
                unexpected(settings, text, at, "colon")
            end
            at = after_spaces(text, at + 1)
        end
        local code, item = byte(text, at)
        last = nil
        if code == QUOTE then
            _, last, item = find(text, PLAIN_STRING, at)
        end
        if last then
            object[key], at = item, last + 1
        else
            object[key], at = decode_value(settings, text, at, depth, used + 2)
        end
        code = byte(text, at)
        if code ~= COMMA and code ~= BRACE_END then
            at = after_spaces(text, at)
            code = byte(text, at)
        end
        at = at + 1
        if code == BRACE_END then
            return object, at
        elseif code ~= COMMA then
            unexpected(settings, text, at - 1, "comma or object end")
        end
    end
end

local function decode_array(settings, text, at, depth, used)
    check_depth(settings, depth, used + ARRAY_SLOTS, at)
    local array = {}
    if settings.decode_array_with_array_mt then
        if used + 1 + METATABLE_SLOTS > STACK_SLOTS then
            fail("max lua stack reached")
        end
        setmetatable(array, { __is_cjson_array = true })
    end
    at = after_spaces(text, at + 1)
    if byte(text, at) == BRACKET_END then
        return array, at + 1
    end
    local n = 0
    while true do
        n = n + 1
        array[n], at = decode_value(settings, text, at, depth, used + 1)
        local code = byte(text, at)
        if code ~= COMMA and code ~= BRACKET_END then
            at = after_spaces(text, at)
            code = byte(text, at)
        end
        at = at + 1
        if code == BRACKET_END then
            return array, at
        elseif code ~= COMMA then
            unexpected(settings, text, at - 1, "comma or array end")
        end
        code = byte(text, at)
        if code and code <= SPACE then
            at = after_spaces(text, at)
        end
    end
end

-- The value at `at` and the position behind it. depth counts the tables around it, used the C library's stack slots.
function decode_value(settings, text, at, depth, used)
    local code = byte(text, at)
    if code == QUOTE then
        local _, last, string = find(text, PLAIN_STRING, at)
        if last then
            return string, last + 1
        end
        string, last = careful_string(text, at)
        if string then
            return string, last
        end
    elseif code == BRACE then
        return decode_object(settings, text, at, depth + 1, used)
    elseif code == BRACKET then
        return decode_array(settings, text, at, depth + 1, used)
    elseif code and code <= NINE and code >= MINUS then
        local _, last, digits = find(text, PLAIN_NUMBER, at)
        local number = last and tonumber(digits)
        if number and settings.decode_invalid_numbers then
            local following = byte(text, last + 1)
            if following ~= CAPITAL_X and following ~= SMALL_X then
                return number, last + 1
            end
        end
    end
    return odd_value(settings, text, at)
end

-- The decode of a module with these settings.
return function(settings)
    return function(...)
        if select("#", ...) ~= 1 then
            argument_error(1, "expected 1 argument")
        end
        local text = ...
        if type(text) == "number" then
            text = tostring(text)
        elseif type(text) ~= "string" then
            type_error(1, "string", text, 1)
        end
        if decode_usual and not settings.decode_array_with_array_mt then
            local value = decode_usual(text, settings.decode_max_depth)
            if value ~= nil then
                return value
            end
        end
        if find(text, "^.?%z") and #text >= 2 then
            fail("JSON parser does not support UTF-16 or UTF-32")
        end
        local value, at = decode_value(settings, text, after_spaces(text, 1), 0, 1)
        at = after_spaces(text, at)
        if (byte(text, at) or 0) ~= 0 then
            unexpected(settings, text, at, "the end")
        end
        return value
    end
end
