"""The wire and nothing else: no sockets, no keyspace, and no imports from the rest of the project.

parser.py         the request parser in use: the compiled twin if it was built, otherwise the pure one
requests.py       bytes in, complete requests out (RESP arrays and inline commands); the reference
_requests.pyx     the same, compiled; optional
inline.py         splits a line into arguments by Redis's quoting rules
bulk_runs.py      runs of bulk strings; _bulk_runs.pyx is the same, compiled
replies.py        values to RESP2 and RESP3 bytes
numbers.py        strict integers and floats, in and out
digits.pxd        integers as text, for compiled modules
doubles.py        how doubles are written; _doubles.pyx is the same, compiled
long_doubles.py   the 80-bit arithmetic of INCRBYFLOAT
shortest.py       the digits of a double, as Redis picks them
errors.py         the error texts that several commands share
limits.py         the limits on what a client may send, each with its reason
native.py         the loader of what is compiled, here and in the broker; in place before any of it is imported
"""

from protocol import native as native
