"""Arguments and results as msgpack, data only: decoding never makes anything but what the job's annotations name.

Encoding takes what msgspec does: None, bool, int, float, str, bytes, lists, tuples, sets, dicts, dataclasses,
TypedDicts, NamedTuples, enums, UUID, Decimal, date, time, timedelta, and datetimes (aware ones as msgpack timestamps:
they come back as the same instant in UTC; naive ones as text, and naive where annotated); and paths. Arguments travel
as a map by parameter name, so that a program in any language can enqueue a job, and a parameter with a default may be
added at any time.

Decoding goes by the annotations: a parameter `order: Order` (a dataclass) gets an Order, checked field by field.
Where there is no annotation the plain data comes through: a dataclass is then a dict, a set a list.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from pathlib import PurePath
from typing import Any, TypedDict, get_type_hints

import msgspec

__all__ = ["Arguments", "decoder", "encode", "place"]


def _plain(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not data that a job can carry")


def _typed(kind: type, value: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    raise ValueError(f"{kind!r} can't be made from data")


encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder(enc_hook=_plain).encode
"""The msgpack of a value. Raises TypeError for what is not data, OverflowError for an int of more than 64 bits."""

_canonical = msgspec.msgpack.Encoder(enc_hook=_plain, order="deterministic").encode


def decoder(annotation: Any) -> Callable[[bytes], Any]:
    """A function from msgpack to a value of the annotated type. It raises msgspec.ValidationError (a ValueError).

    Raises TypeError for an annotation that can't be decoded.
    """
    return msgspec.msgpack.Decoder(annotation, dec_hook=_typed).decode


def place(values: Iterable[object]) -> str:
    """A short text that is equal for equal values."""
    return blake2b(_canonical(list(values)), digest_size=12).hexdigest()


class Arguments:
    """The parameters of a function: from a call's arguments to msgpack and back."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.signature = inspect.signature(function)
        parameters = self.signature.parameters.values()
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise TypeError(f"{function.__qualname__}: the parameter {parameter.name!r} can't be passed by name")
        self.names = frozenset(parameter.name for parameter in parameters)
        hints = get_type_hints(function, include_extras=True)
        self.decode_result = decoder(hints.get("return", Any))
        fields = {name: hints.get(name, Any) for name in self.signature.parameters}
        # functional TypedDicts can't be built from a variable in a checker's eyes
        kind: Any = TypedDict("Arguments", fields, total=False)  # type: ignore[misc]
        self._decode = decoder(kind)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by parameter name. Raises TypeError as the call itself would."""
        return self.signature.bind(*args, **kwargs).arguments

    def chosen(self, bound: Mapping[str, Any], names: Iterable[str]) -> list[Any]:
        """The values of some parameters, defaults included."""
        parameters = self.signature.parameters
        return [bound[name] if name in bound else parameters[name].default for name in names]

    def unpack(self, data: bytes) -> dict[str, Any]:
        """Arguments by parameter name. Raises msgspec.ValidationError or DecodeError."""
        arguments: dict[str, Any] = self._decode(data)
        return arguments
