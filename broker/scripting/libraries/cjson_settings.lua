-- The settings of one cjson module and the functions that read and change them.
--
-- They are the module's, not the script's: what one script sets, the next one finds, as in Redis.
local argument_error, type_error = ...
local match, select, tonumber, tostring, type = string.match, select, tonumber, tostring, type

setfenv(1, {})

local INT_MAX = 2147483647

-- C's conversion of a double to an int: of the 64-bit integer that it truncates to, the low half.
local function to_int(number)
    if not (number >= -2 ^ 63 and number < 2 ^ 63) then
        return 0
    end
    number = number - number % (number < 0 and -1 or 1)
    number = number % 2 ^ 32
    return number >= 2 ^ 31 and number - 2 ^ 32 or number
end

local function check_count(count, most)
    if count > most then
        argument_error(most + 1, "found too many arguments")
    end
end

local function integer_option(settings, name, value, number, least, most)
    if value ~= nil then
        local given = tonumber(value)
        if not given then
            type_error(number, "number", value, number)
        end
        given = to_int(given)
        if given < least or given > most then
            argument_error(1, "expected integer between " .. least .. " and " .. most)
        end
        settings[name] = given
    end
    return settings[name]
end

local function choice_option(settings, name, value, number, choices)
    if type(value) == "boolean" then
        settings[name] = value
    elseif value ~= nil then
        local text = type(value) == "number" and tostring(value) or value
        if type(text) ~= "string" then
            type_error(number, "string", value, number)
        end
        text = match(text, "^[^%z]*")
        if choices[text] == nil then
            argument_error(number, "invalid option '" .. text .. "'")
        end
        settings[name] = choices[text]
    end
    return settings[name]
end

local SWITCH = { off = false, on = true }
local INVALID_NUMBERS = { off = false, on = true, null = "null" }

local function new_settings()
    return {
        sparse_convert = false,
        sparse_ratio = 2,
        sparse_safe = 10,
        encode_max_depth = 1000,
        decode_max_depth = 1000,
        encode_invalid_numbers = false,
        decode_invalid_numbers = true,
        encode_keep_buffer = true,
        encode_number_precision = 14,
        decode_array_with_array_mt = false,
    }
end

-- Puts the functions that change these settings into a module.
local function add_functions(module, settings)
    local function add_integer(name, most)
        module[name] = function(...)
            check_count(select("#", ...), 1)
            return (integer_option(settings, name, (...), 1, 1, most))
        end
    end
    local function add_choice(name, choices)
        module[name] = function(...)
            check_count(select("#", ...), 1)
            return (choice_option(settings, name, (...), 1, choices))
        end
    end
    add_integer("encode_max_depth", INT_MAX)
    add_integer("decode_max_depth", INT_MAX)
    add_integer("encode_number_precision", 14)
    add_choice("decode_array_with_array_mt", SWITCH)
    add_choice("encode_keep_buffer", SWITCH)
    add_choice("decode_invalid_numbers", SWITCH)
    add_choice("encode_invalid_numbers", INVALID_NUMBERS)
    function module.encode_sparse_array(...)
        check_count(select("#", ...), 3)
        local convert, ratio, safe = ...
        convert = choice_option(settings, "sparse_convert", convert, 1, SWITCH)
        ratio = integer_option(settings, "sparse_ratio", ratio, 2, 0, INT_MAX)
        return convert, ratio, integer_option(settings, "sparse_safe", safe, 3, 0, INT_MAX)
    end
end

return new_settings, add_functions
