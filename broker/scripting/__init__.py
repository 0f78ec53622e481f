"""Lua scripts and functions: atomic pipelines that run inside the broker, caged.

engine.py       one broker's scripting: runs a script or a function, and returns the reply
lua_state.py    a Lua state and its access to the commands: there are two, for scripts and for functions
sandbox.py      one Lua state and its cage;  cage*.lua  the cage itself, written in Lua
bytecode.py     patches compiled scripts where stock Lua 5.1 falls short of Redis's
bridge.py       redis.call and its relatives: from Lua to the command table and back
calling.py      the fast path of nearly every call
conversions.py  encoded replies -> Lua values, Lua numbers -> arguments
border.py       both ways between Python and Lua by Lua's C interface, where the compiled build can have it
running.py      the script that runs now: its limits in time, being busy, being killed
scripts.py      EVAL's scripts by SHA-1, and their shebang lines
functions.py    libraries of functions, and their dump format
libraries/      cjson, cmsgpack, struct, bit
"""
