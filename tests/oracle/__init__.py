"""The same commands are sent to this broker and to a real redis-server, and replies compared byte for byte.

harness.py   what the tests use: same(), pair(), agree(), and the markers; read its docstring first
servers.py   finds the reference server and starts it and the broker, once per session
wire.py      a blocking RESP connection that keeps the exact bytes of every reply
state.py     the whole keyspace in comparable form;  mixed_commands.py, lua_snippets.py  generated scripts
"""
