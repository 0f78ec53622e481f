-- Lua CJSON 2.1.0 as Redis has it: modules that each have settings of their own.
local add_entries, null, new_settings, add_settings, new_encode, new_decode = ...

setfenv(1, {})

local function new()
    local settings = new_settings()
    local module = {
        _NAME = "cjson",
        _VERSION = "2.1.0",
        null = null,
        encode = new_encode(settings),
        decode = new_decode(settings),
    }
    add_settings(module, settings)
    module.new = new
    return add_entries(module)
end

return new()
