"""Type variables with a default, which Python itself has only from 3.13 on.

Only a type checker needs the default, and typing_extensions takes 8 ms to import. The choice is made here, not where
such a variable is declared: a compiled module loses the branch of `if TYPE_CHECKING` that a type checker does not take.
"""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING

__all__ = ["TypeVar"]

if TYPE_CHECKING:
    from typing_extensions import TypeVar
else:

    def TypeVar(name, *, default, bound, covariant=False):
        """A type variable, which leaves its default to the type checker."""
        return typing.TypeVar(name, bound=bound, covariant=covariant)
