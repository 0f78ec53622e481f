"""Options of compiled classes, which only the compiler reads.

What mypyc compiles does without the decorator, so a broker needs no mypy_extensions. The choice is made here because a
compiled module loses the branch of `if TYPE_CHECKING` that a type checker does not take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["mypyc_attr"]

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr
else:

    def mypyc_attr(**options):
        """Returns a decorator that leaves the class as it is."""
        return lambda decorated: decorated
