"""The same commands sent to this broker and to a real redis-server, replies compared byte for byte.

harness.py   what the tests use: same(), pair(), agree(), and the markers; read its docstring first
servers.py   finds the reference server and starts it and the broker, once a session
wire.py      a blocking RESP connection that keeps the exact bytes of every reply
"""
