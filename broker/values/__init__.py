"""What a key can hold, one pure data structure a module: no wire format, no session, no clock.

string      bytes; bytearray once it was changed in place
list.py     List: a deque, or packed blocks
hash.py     Hash: a dict, or a packed block, with the deadlines of fields (field_deadlines.py)
set.py      Set: a dict
sorted_set.py  SortedSet, on score_order.py: a dict and a SortedList; _score_order.pyx the same compiled
stream*.py  Stream: entries, consumer groups, pending entries

positions.py  scans and random picks on the dicts; _positions.pyx the same compiled
lcs.py        longest common subsequence of two strings
"""
