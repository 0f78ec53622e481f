-- cjson.encode: a Lua value as JSON text.
local fail, argument_error, null, encode_usual = ...
local char, concat, find, format = string.char, table.concat, string.find, string.format
local getmetatable, gsub, next, rawget = debug.getmetatable, string.gsub, next, rawget
local select, type = select, type

setfenv(1, {})

local HUGE = 1 / 0
local INT_MAX, TWO_31, TWO_32 = 2147483647, 2 ^ 31, 2 ^ 32
local LUA_PRECISION = 14  -- with which Lua itself makes numbers to texts

-- What a C function of Lua 5.1 may use of the stack. The C library keeps the value it works on there, one slot for
-- each array and two for each object around it, and wants three more for the next table: where they are not to be
-- had the nesting is excessive too, whatever encode_max_depth says.
local STACK_SLOTS, NEEDED_SLOTS = 8000, 3

local LONGEST_KEPT, MOST_KEPT = 32, 500  -- keys whose texts are kept: bytes of each, and how many

local ESCAPED = '[%z\1-\31"\\/\127]'
local ESCAPES = { ['"'] = '\\"', ["\\"] = "\\\\", ["/"] = "\\/", ["\b"] = "\\b", ["\t"] = "\\t", ["\n"] = "\\n",
                  ["\f"] = "\\f", ["\r"] = "\\r", ["\127"] = "\\u007f" }
for code = 0, 31 do
    local character = char(code)
    ESCAPES[character] = ESCAPES[character] or format("\\u%04x", code)
end

local NUMBER_FORMATS = {}
for precision = 1, LUA_PRECISION do
    NUMBER_FORMATS[precision] = "%." .. precision .. "g"
end

local function as_int(number)
    number = number % TWO_32
    return number >= TWO_31 and number - TWO_32 or number
end

local function cannot_serialise(value, reason)
    fail("Cannot serialise " .. type(value) .. ": " .. reason)
end

-- The largest index of a table that is an array; 0 or less for what has to be an object. The C library counts in
-- ints: an index that does not fit one becomes the least of them.
local function array_length(settings, value)
    local largest, items = 0, 0
    for key in next, value do
        if type(key) ~= "number" or key < 1 or (key % 1 ~= 0 and key ~= HUGE) then
            return 0
        end
        if key > largest then
            largest = key <= INT_MAX and key or -TWO_31
        end
        items = items + 1
    end
    local ratio = settings.sparse_ratio
    if largest > settings.sparse_safe and ratio > 0 and largest > as_int(items * ratio) then
        if not settings.sparse_convert then
            cannot_serialise(value, "excessively sparse array")
        end
        return 0
    end
    return largest
end

local function number_text(settings, number)
    if number - number ~= 0 then
        local invalid = settings.encode_invalid_numbers
        if not invalid then
            cannot_serialise(number, "must not be NaN or Inf")
        elseif invalid == "null" then
            return "null"
        elseif number ~= number then
            return "nan"
        end
    end
    return format(NUMBER_FORMATS[settings.encode_number_precision], number)
end

-- Texts of keys that have been used, since objects of a kind have the same ones: a third of the time to encode them.
local kept, kept_count = {}, 0

local function key_text(settings, key)
    if type(key) == "string" then
        local text = key
        if find(key, ESCAPED) then
            text = gsub(key, ESCAPED, ESCAPES)
        end
        text = '"' .. text .. '":'
        if #key <= LONGEST_KEPT then
            if kept_count >= MOST_KEPT then
                kept, kept_count = {}, 0
            end
            kept[key], kept_count = text, kept_count + 1
        end
        return text
    elseif type(key) == "number" then
        return '"' .. number_text(settings, key) .. '":'
    end
    return cannot_serialise(key, "table key must be a number or string")
end

-- A table whose metatable says that it is an array (decode_array_with_array_mt) is one, empty or not.
local function is_marked_array(value)
    local metatable = getmetatable(value)
    return metatable and metatable.__is_cjson_array
end

local append_value

local function append_array(settings, value, length, depth, used, parts, n)
    local before = "["
    for i = 1, length do
        n = append_value(settings, before, rawget(value, i), depth, used + 1, parts, n)
        before = ","
    end
    parts[n + 1] = length > 0 and "]" or before .. "]"
    return n + 1
end

local function append_object(settings, value, depth, used, parts, n)
    local comma = "{"
    for key, item in next, value do
        local text = kept[key] or key_text(settings, key)
        n = append_value(settings, comma .. text, item, depth, used + 2, parts, n)
        comma = ","
    end
    parts[n + 1] = comma == "," and "}" or "{}"
    return n + 1
end

-- Appends a value's text to the parts, of which there are n, and returns how many there are then. The first part starts
-- with what stands before the value: fewer parts are faster. depth counts the tables around the value, used the C
-- library's stack slots.
function append_value(settings, before, value, depth, used, parts, n)
    local kind = type(value)
    if kind == "string" then
        if find(value, ESCAPED) then
            value = gsub(value, ESCAPED, ESCAPES)
        end
        parts[n + 1] = before .. '"' .. value .. '"'
    elseif kind == "number" then
        if value - value == 0 and settings.encode_number_precision == LUA_PRECISION then
            parts[n + 1] = before .. value
        else
            parts[n + 1] = before .. number_text(settings, value)
        end
    elseif kind == "table" then
        depth = depth + 1
        if depth > settings.encode_max_depth or used + NEEDED_SLOTS > STACK_SLOTS then
            fail("Cannot serialise, excessive nesting (" .. depth .. ")")
        end
        if before ~= "" then
            n = n + 1
            parts[n] = before
        end
        if is_marked_array(value) then
            return append_array(settings, value, #value, depth, used, parts, n)
        end
        local length = array_length(settings, value)
        if length > 0 then
            return append_array(settings, value, length, depth, used, parts, n)
        end
        return append_object(settings, value, depth, used, parts, n)
    elseif kind == "boolean" then
        parts[n + 1] = before .. (value and "true" or "false")
    elseif value == nil or value == null then
        parts[n + 1] = before .. "null"
    else
        cannot_serialise(value, "type not supported")
    end
    return n + 1
end

-- The encode of a module with these settings.
return function(settings)
    return function(...)
        if select("#", ...) ~= 1 then
            argument_error(1, "expected 1 argument")
        end
        if encode_usual then
            local text = encode_usual((...), settings.encode_max_depth, settings.sparse_convert, settings.sparse_ratio,
                                      settings.sparse_safe, settings.encode_number_precision)
            if text then
                return text
            end
        end
        local parts = {}
        append_value(settings, "", (...), 0, 1, parts, 0)
        return (concat(parts))
    end
end
