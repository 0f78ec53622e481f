"""The wire, and nothing else: no sockets, no keyspace, and nothing imported from the rest of the project.

parser.py         the request parser in use: the compiled twin where it was built, else the pure one
requests.py       bytes in, complete requests out (RESP arrays and inline commands); the reference
_requests.pyx     the same, compiled; optional
inline.py         splitting a line into arguments by Redis's quoting rules
replies.py        values to RESP2 and RESP3 bytes
numbers.py        strict integers and floats, in and out
doubles.py        how doubles are written; _doubles.pyx is the same, compiled
long_doubles.py   the 80-bit arithmetic of INCRBYFLOAT
shortest.py       the digits of a double, as Redis picks them
errors.py         every error text, once
limits.py         every limit on what a client may send, each with its reason
"""
