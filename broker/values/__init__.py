"""The values that a key can hold, one pure data structure per module: no wire format, no session, no clock.

string      bytes; bytearray once changed in place
list.py     List: a deque, or packed blocks where compiled
hash.py     Hash: a dict, or a packed block where compiled, with the deadlines of fields (field_deadlines.py)
set.py      Set: a dict
sorted_set.py  SortedSet, on score_order.py: a dict and a SortedList; _score_order.pyx is the compiled twin
streams/    Stream: entries, consumer groups, pending entries

listpack.py   Redis's encoding of a few elements as one run of bytes; _listpack.pyx is the compiled twin
positions.py  scans and random picks on the dicts; _positions.pyx is the compiled twin
lcs.py        longest common subsequence of two strings
"""
