# cython: language_level=3
"""Compiled twin of positions.py, with the same results; see there for what the functions promise and why."""

from cpython.dict cimport PyDict_Next, PyDict_SetItem
from cpython.object cimport PyObject
from random import random

from broker.values.positions import EMPTIED_BYTES_PER_KEY as _EMPTIED_BYTES_PER_KEY
from broker.values.positions import LONG_RUN as _LONG_RUN
from broker.values.positions import LONG_RUN_SHARE as _LONG_RUN_SHARE
from broker.values.positions import POSITIONS_PER_KEY as _POSITIONS_PER_KEY
from broker.values.positions import ROOMY_BYTES_PER_KEY as _ROOMY_BYTES_PER_KEY
from broker.values.positions import SPARSE as _SPARSE

cdef Py_ssize_t EMPTIED_BYTES_PER_KEY = _EMPTIED_BYTES_PER_KEY
cdef Py_ssize_t ROOMY_BYTES_PER_KEY = _ROOMY_BYTES_PER_KEY
cdef Py_ssize_t LONG_RUN = _LONG_RUN
cdef Py_ssize_t LONG_RUN_SHARE = _LONG_RUN_SHARE
cdef Py_ssize_t POSITIONS_PER_KEY = _POSITIONS_PER_KEY
cdef Py_ssize_t SPARSE = _SPARSE

_size = dict.__sizeof__
_popitem = dict.popitem


cdef Py_ssize_t _top(d):
    cdef Py_ssize_t bound = len(d)
    cdef Py_ssize_t stride = 1
    cdef Py_ssize_t position = bound
    cdef Py_ssize_t high, middle
    cdef PyObject *key
    while PyDict_Next(d, &position, &key, NULL):
        bound = position
        position = bound + stride
        stride *= 2
    high = bound + stride // 2
    while bound < high:
        middle = (bound + high) // 2
        position = middle
        if PyDict_Next(d, &position, &key, NULL):
            bound = position
        else:
            high = middle
    return bound


def top(d):
    return _top(d)


def window(d, cursor, count):
    cdef Py_ssize_t highest, high, wanted, floor, low, at, position
    cdef Py_ssize_t holes = 0
    cdef PyObject *key
    cdef list keys = []
    cdef list chunk
    cdef Py_ssize_t live = len(d)
    if cursor > 0 and <Py_ssize_t>_size(d) > EMPTIED_BYTES_PER_KEY * (live if live > LONG_RUN else LONG_RUN):
        cursor = _compact_at(d, min(cursor, _top(d)))
        if not cursor:
            return 0, []
    else:
        _settle(d)
    highest = high = _top(d)
    # Compared as Python numbers, as both may be larger than a machine word.
    if 0 < cursor < highest:
        high = cursor
    wanted = count if count < high else high
    floor = high - wanted * POSITIONS_PER_KEY
    if floor < 0:
        floor = 0
    while high > floor and len(keys) < wanted:
        low = high - (wanted - len(keys))
        if low < floor:
            low = floor
        at = low
        chunk = []
        while at < high:
            position = at
            if not PyDict_Next(d, &position, &key, NULL):
                break
            if position - 1 - at > holes:
                holes = position - 1 - at
            at = position
            if at <= high:
                chunk.append(<object>key)
        chunk.reverse()
        keys += chunk
        high = low
    if high and holes >= LONG_RUN and holes * LONG_RUN_SHARE >= len(d):
        return _compact_at(d, high), keys
    return high, keys


def random_key(d):
    cdef Py_ssize_t live = len(d)
    cdef Py_ssize_t bound = live
    cdef Py_ssize_t stride = live // 8 + 1
    cdef Py_ssize_t position, at, run
    cdef PyObject *key
    if not live:
        raise IndexError("random key of an empty dict")
    _settle(d)
    position = bound
    while PyDict_Next(d, &position, &key, NULL):
        bound = position if position > bound + stride else bound + stride
        position = bound
    if bound >= SPARSE * live and bound > LONG_RUN:
        _compact(d)
        bound = live
    while True:
        at = int(<double>random() * bound)
        position = at
        if PyDict_Next(d, &position, &key, NULL):
            run = position - 1 - at
            if not run:
                return <object>key
            if run >= LONG_RUN and run * LONG_RUN_SHARE >= live:
                _compact(d)
                bound = live


def compact_if_sparse(d):
    cdef Py_ssize_t highest
    _settle(d)
    highest = _top(d)
    if highest >= SPARSE * len(d) and highest > LONG_RUN:
        _compact(d)


cdef _settle(d):
    cdef Py_ssize_t size = _size(d)
    cdef Py_ssize_t live = len(d)
    if live < LONG_RUN:
        live = LONG_RUN
    if size > EMPTIED_BYTES_PER_KEY * live:
        _compact(d)
    elif size > ROOMY_BYTES_PER_KEY * live and d:
        key, value = _popitem(d)
        PyDict_SetItem(d, key, value)


cdef _compact(d):
    dense = {**d}
    dict.clear(d)
    dict.update(d, dense)


cdef Py_ssize_t _compact_at(d, Py_ssize_t cursor) except -1:
    cdef Py_ssize_t position = cursor
    cdef PyObject *key
    cdef object boundary
    if not PyDict_Next(d, &position, &key, NULL):
        _compact(d)
        return len(d)
    boundary = <object>key
    _compact(d)
    position = 0
    for other in d:
        if other is boundary:
            break
        position += 1
    return position
