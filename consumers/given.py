"""Checks what users pass where they pass it: a wrong type is an immediate TypeError that names the argument.

Otherwise it would surface later and elsewhere: as an "unhashable type" in a worker's task, or as a stream with the name
of a Python list. Durations are seconds or a timedelta everywhere.
"""

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, TypeAlias

from coredis import Redis, RedisCluster

__all__ = ["Duration", "client_of", "duration", "function", "instance", "text", "texts", "whole"]

Duration: TypeAlias = float | timedelta
"""Seconds or a timedelta."""


def instance(name: str, value: Any, *kinds: type) -> None:
    """Raise TypeError unless the value is of one of these types. A bool is not a number."""
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        raise TypeError(f"{name} is {expected}, not {type(value).__name__}: {value!r:.100}")


def text(name: str, value: Any, *, empty: bool = False) -> str:
    """Return a name. Raises TypeError if it is not a str, ValueError if it is empty or can't be encoded.

    Half a surrogate pair (which JSON may contain) would look like a lost connection once it is sent.
    """
    instance(name, value, str)
    if not value and not empty:
        raise ValueError(f"{name} is empty")
    checked: str = value
    try:
        checked.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} is no valid Unicode text: {checked!r:.100}") from None
    return checked


def texts(name: str, values: Any) -> tuple[str, ...]:
    """Return several names. Raises TypeError for a single one."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise TypeError(f"{name} are several names, not {type(values).__name__}: {values!r:.100}")
    return tuple(text(f"each of {name}", one) for one in values)


def whole(name: str, value: Any) -> int:
    """Return an integer. Raises TypeError."""
    instance(name, value, int)
    number: int = value
    return number


def duration(name: str, value: Any) -> float:
    """Return seconds. Raises TypeError for anything but a number or a timedelta, ValueError for NaN."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    instance(name, value, float, int, timedelta)
    seconds = float(value)
    if math.isnan(seconds):
        raise ValueError(f"{name} is not a number")
    return seconds


def function(name: str, value: Any) -> None:
    """Raise TypeError unless the value can be called."""
    if not callable(value):
        raise TypeError(f"{name} is a function, not {type(value).__name__}: {value!r:.100}")


def client_of(value: Any) -> None:
    """Raise TypeError unless the value is a coredis client; redis-py's is a frequent mistake."""
    if not isinstance(value, Redis | RedisCluster):
        kind = f"{type(value).__module__}.{type(value).__name__}"
        raise TypeError(f"client is an entered coredis.Redis or coredis.RedisCluster, not {kind}")
