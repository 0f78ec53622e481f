"""What a worker provides to its jobs: the context that @queue.lifespan yields, or a part of it, by annotation.

A parameter that is to get something says so in its default, INJECTED: so type checkers see that enqueue() does not need
it, its annotation says what the function gets, and a direct call passes it by hand. Which part that is is decided where
the job is declared: a mistake there is an error on import, in the programs that only enqueue as well.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import SimpleNamespace
from typing import Any, ClassVar, Final, get_args, get_origin, get_type_hints

__all__ = ["INJECTED", "Lifespan", "Parts", "injected_names", "parts", "provided"]


class _Injected:
    def __repr__(self) -> str:
        return "INJECTED"


INJECTED: Final[Any] = _Injected()
"""The default of a parameter that gets what its annotation names, from what the queue's lifespan yields.

It must fit every annotation. Of the types only Any and Never do, with which mypy and pyright see the same: the
parameter is what it is annotated with, and enqueue() does not need it. What the lifespan provides is checked where the
job is declared."""

Parts = Mapping[str, str]
"""Which parameter gets which attribute of the context; "" is the context itself."""

_ITERATORS = (AsyncIterator, AsyncGenerator, AsyncIterable, AbstractAsyncContextManager)


class Lifespan:
    """A queue's lifespan. kind: the type that it yields."""

    def __init__(self, function: Callable[[], Any], queue: str) -> None:
        """Raises TypeError for anything that is not such a function, or does not say what it yields."""
        self._what = f"the lifespan of the queue {queue}"
        if not callable(function):
            raise TypeError(f"{self._what} is a function, not {type(function).__name__}")
        if inspect.signature(function).parameters:
            raise TypeError(f"{self._what} takes no arguments")
        self.open: Callable[[], AbstractAsyncContextManager[Any]]
        if inspect.isasyncgenfunction(function):
            self.open = asynccontextmanager(function)
        elif inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"{self._what} must yield once, in an asynchronous function")
        else:
            self.open = function
        # asynccontextmanager keeps the generator's annotations
        hint = _hint(function, "return", self._what)
        if get_origin(hint) not in _ITERATORS:
            raise TypeError(f"{self._what} must say what it yields, as in -> AsyncIterator[Resources]")
        self.kind: Any = get_args(hint)[0]
        self._attributes = _attributes(self.kind)

    def part(self, parameter: str, hint: Any, what: str) -> str:
        """Return the attribute that a parameter with this annotation gets. Raises TypeError if none or several fit."""
        if hint == self.kind:
            return ""
        fitting = [name for name, kind in self._attributes.items() if kind == hint]
        if parameter in fitting:
            return parameter
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise TypeError(
                f"{what}: {parameter!r} could be any of {', '.join(fitting)}, which have its type; name it like one"
            )
        raise TypeError(f"{what}: {self._what} provides no {_name(hint)} for {parameter!r}")


def injected_names(function: Callable[..., Any]) -> list[str]:
    """The parameters whose default is INJECTED."""
    return [one.name for one in inspect.signature(function).parameters.values() if one.default is INJECTED]


def parts(function: Callable[..., Any], what: str, lifespan: Lifespan | None) -> Parts:
    """Return what the parameters of a function get. Raises TypeError if the lifespan does not provide it.

    what: names the function in messages.
    """
    names = injected_names(function)
    if names and lifespan is None:
        raise TypeError(f"{what}: {names[0]!r} is injected, and no lifespan of the queue has been declared before")
    found: dict[str, str] = {}
    for name in names:
        assert lifespan is not None
        hint = _hint(function, name, what)
        if hint is None:
            raise TypeError(f"{what}: {name!r} is injected, so it needs an annotation")
        found[name] = lifespan.part(name, hint, what)
    return found


def provided(context: Any, parts: Parts) -> dict[str, Any]:
    """Return what parameters get from a context."""
    return {name: getattr(context, attribute) if attribute else context for name, attribute in parts.items()}


def _hint(function: Any, name: str, what: str) -> Any:
    """An annotation, evaluated alone: others may name types that are defined further down. None: there is none."""
    function = inspect.unwrap(function)
    annotations = getattr(function, "__annotations__", {})
    if name not in annotations:
        return None
    alone: Any = SimpleNamespace(__annotations__={name: annotations[name]})
    try:
        return get_type_hints(alone, globalns=getattr(function, "__globals__", {}))[name]
    except (NameError, TypeError) as error:
        raise TypeError(f"{what}: its annotations can't be evaluated: {error}") from error


def _attributes(kind: Any) -> dict[str, Any]:
    """The annotated attributes of a class: a dataclass's fields, or any other's."""
    if not isinstance(kind, type) or kind.__module__ == "builtins":
        return {}
    try:
        hints = get_type_hints(kind)
    except (NameError, TypeError):
        # only the whole can be injected
        return {}
    return {name: hint for name, hint in hints.items() if get_origin(hint) is not ClassVar and hint is not ClassVar}


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)
