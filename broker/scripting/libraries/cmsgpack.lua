-- lua-cmsgpack 0.4.0: the module's table.
local add_entries, pack, unpack, unpack_one, unpack_limit = ...

return add_entries({
    _NAME = "cmsgpack",
    _VERSION = "lua-cmsgpack 0.4.0",
    _COPYRIGHT = "Copyright (C) 2012, Salvatore Sanfilippo",
    _DESCRIPTION = "MessagePack C implementation for Lua",
    pack = pack,
    unpack = unpack,
    unpack_one = unpack_one,
    unpack_limit = unpack_limit,
})
