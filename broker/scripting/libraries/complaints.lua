-- Raising errors in libraries, with the text and the position of a C function in Lua 5.1: the line of the script that
-- called the library, however deep inside the library the error occurs.
--
-- For that, the functions that scripts can call are registered here: the search goes up the stack to the first of them.
local error, getinfo, next, setmetatable, type = error, debug.getinfo, next, setmetatable, type

setfenv(1, {})

local entries = setmetatable({}, { __mode = "k" })

local function add_entries(functions)
    for _, value in next, functions do
        if type(value) == "function" then
            entries[value] = true
        end
    end
    return functions
end

-- Returns the level of the function that the script called, relative to the caller of this function.
local function entry_level()
    local level = 2
    local info = getinfo(level, "f")
    while info and not entries[info.func] do
        level = level + 1
        info = getinfo(level, "f")
    end
    return level - 1
end

local function fail(text)
    error(text, entry_level() + 1)
end

local function argument_error(number, text)
    local level = entry_level()
    local called = getinfo(level, "n")
    local name = called and called.name or "?"
    local message = "bad argument #" .. number .. " to '" .. name .. "' (" .. text .. ")"
    if called and called.namewhat == "method" then
        -- the object before the colon does not count
        if number == 1 then
            message = "calling '" .. name .. "' on bad self (" .. text .. ")"
        else
            message = "bad argument #" .. number - 1 .. " to '" .. name .. "' (" .. text .. ")"
        end
    end
    error(message, level + 1)
end

-- count is the number of arguments passed to the function: an argument after them has "no value".
local function type_error(number, expected, value, count)
    local found = number > count and "no value" or type(value)
    argument_error(number, expected .. " expected, got " .. found)
end

return add_entries, fail, argument_error, type_error
