"""What enqueue() takes in addition to the function's own arguments, as it is and as type checkers see it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, ParamSpec, Protocol, TypeVar, overload

from consumers.given import Duration

__all__ = ["RESERVED", "Expiry", "TakesOptions", "Unique"]

P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)

Unique = bool | str | Sequence[str]
"""The parameters whose values make a job unique: one name, several, True for all of them, False for none."""

Expiry = Duration | datetime
"""Seconds from now, a timedelta, or a datetime (a naive one is local time)."""

RESERVED: Final = frozenset(("delay", "at", "priority", "unique", "job_id", "expires"))
"""The options' names."""


class TakesOptions(Protocol[P, T_co]):
    """A method that takes a job's arguments, and options; JobFunction.enqueue says what they mean.

    A call without options is checked against the function's own signature. A call with options can't be expressed
    with a ParamSpec, so there is an overload for each option that may be the first: for checked arguments there is
    with_options().
    """

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T_co: ...
    @overload
    def __call__(
        self,
        *args: Any,
        delay: Duration,
        priority: str = ...,
        unique: Unique = ...,
        job_id: str = ...,
        expires: Expiry = ...,
        **kwargs: Any,
    ) -> T_co: ...
    @overload
    def __call__(
        self,
        *args: Any,
        at: datetime,
        priority: str = ...,
        unique: Unique = ...,
        job_id: str = ...,
        expires: Expiry = ...,
        **kwargs: Any,
    ) -> T_co: ...
    @overload
    def __call__(
        self, *args: Any, priority: str, unique: Unique = ..., job_id: str = ..., expires: Expiry = ..., **kwargs: Any
    ) -> T_co: ...
    @overload
    def __call__(self, *args: Any, unique: Unique, job_id: str = ..., expires: Expiry = ..., **kwargs: Any) -> T_co: ...
    @overload
    def __call__(self, *args: Any, job_id: str, expires: Expiry = ..., **kwargs: Any) -> T_co: ...
    @overload
    def __call__(self, *args: Any, expires: Expiry, **kwargs: Any) -> T_co: ...
