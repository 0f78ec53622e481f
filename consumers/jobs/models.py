"""pydantic's models as arguments and results, in programs that use pydantic: this never imports it.

A model is sent as the fields that it dumps, by alias, and validated on arrival, with names accepted as well; in lax
mode, because text is what becomes of a UUID or a Decimal on the way. attrs classes need nothing here: msgspec knows
them, and runs their validators.

Constraints in annotations of parameters, `Annotated[int, Field(gt=0)]`, are pydantic's business as well: msgspec takes
no notice of them, so they are applied to what it has decoded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, get_args

import msgspec

__all__ = ["checker", "dumped", "is_model", "refusal", "validated"]

ERRORS = 5
"""Mistakes of a model that are named in a message."""


def is_model(kind: object) -> bool:
    """Whether this is a class of pydantic's models."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)


def dumped(value: object) -> Any:
    """Return the data of a model, or of what pydantic puts into models; None for anything else."""
    kind = type(value)
    if is_model(kind):
        model: Any = value
        return model.model_dump(round_trip=True, by_alias=True)
    # URLs, data source names
    return str(value) if kind.__module__ == "pydantic.networks" else None


def validated(kind: Any, data: Any) -> Any:
    """Return the model that the data make. Raises ValueError, in one line."""
    return _in_a_line(lambda: kind.model_validate(data, strict=False, by_alias=True, by_name=True))


def checker(annotation: Any) -> Callable[[Any], Any] | None:
    """Return what applies the constraints in an annotation to a value: it returns the value, or raises ValueError.

    None if there are no constraints. Raises TypeError for types that pydantic does not know.
    """
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not _is_constrained(annotation):
        return None
    try:
        adapter = pydantic.TypeAdapter(annotation)
    except pydantic.PydanticUserError as error:
        raise TypeError(str(error).split("\n")[0]) from error
    return lambda value: _in_a_line(lambda: adapter.validate_python(value))


def _is_constrained(annotation: Any) -> bool:
    metadata = getattr(annotation, "__metadata__", ())
    if any(type(one).__module__.partition(".")[0] in ("pydantic", "annotated_types") for one in metadata):
        return True
    return any(map(_is_constrained, get_args(annotation)))


def _in_a_line(validate: Callable[[], Any]) -> Any:
    try:
        return validate()
    except ValueError as error:
        if not hasattr(error, "errors"):
            raise
        found = error.errors(include_url=False, include_context=False, include_input=False)
        several = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}".removeprefix(": ") for one in found[:ERRORS]]
        more = [f"and {len(found) - ERRORS} more"] if len(found) > ERRORS else []
        raise ValueError("; ".join([*several, *more])) from error


def refusal(one: object) -> str | None:
    """Why a dataclass or attrs class would arrive as something else than it was; None if it does not."""
    if not isinstance(one, msgspec.inspect.DataclassType):
        return None
    if hasattr(one.cls, "__pydantic_validator__"):
        return f"{one.cls.__name__}, a dataclass of pydantic's, whose validators would not run: make it a BaseModel"
    private = [field.name for field in one.fields if field.name.startswith("_")]
    if private and hasattr(one.cls, "__attrs_attrs__"):
        return f"{one.cls.__name__}, whose private attribute {private[0]} would not be sent"
    return None
