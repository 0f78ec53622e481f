"""The four Lua libraries that Redis offers to scripts: cjson, cmsgpack, struct and bit.

Each is a module with `install(lua, library)`, which puts its functions into an empty Lua table. They are written in
Lua and compiled once per runtime, because scripts hold Lua values: to walk a table, Python would need a call per item,
and Lua would allocate Python's results underneath Python's own frames, which the error of an exhausted memory skips.

All behave like the C libraries in redis-server 8.10 on x86-64, down to the text of each error and the depth at which
their C stack overflows. The differences are:

- the order of a table's keys if they are longer than 31 bytes: Redis has changed how Lua hashes those;
- cjson.null is a special userdata (getmetatable returns false, not nil), since Lua cannot create a null pointer;
- a library passed to itself (cjson.encode(cjson)) is empty: scripts see only a view of it;
- the metatable that decode_array_with_array_mt sets is writable, and belongs to that array alone.
"""
