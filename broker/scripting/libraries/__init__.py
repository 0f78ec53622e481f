"""The four Lua libraries that Redis gives its scripts: cjson, cmsgpack, struct and bit.

Each is a module with `install(lua, library)`, which puts its functions into an empty Lua table. They are written in
Lua, compiled once into a runtime, because scripts hold Lua values: to walk a table, Python needs a call for each of its
items, and what Python returns is allocated in Lua underneath Python's own frames, which an error at the end of the
runtime's memory jumps over.

All behave as the C libraries that redis-server 8.10 is built with, on x86-64, to the text of each error, and to the
depth at which the C stack of those ends. What is not the same:

- the order of the keys of a table, where they are longer than 31 bytes: Redis has changed how Lua hashes those;
- cjson.null is a userdata of its own (getmetatable gives false, not nil), since Lua cannot make a null pointer;
- a library given to itself (cjson.encode(cjson)) is empty: scripts see only a view of it;
- the metatable that decode_array_with_array_mt gives to an array can be written to; it is that array's alone.
"""
