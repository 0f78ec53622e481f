"""Arguments and results as msgpack, data only: decoding creates nothing but the types that the job's annotations name.

Encoding supports msgspec's types: None, bool, int, float, str, bytes, lists, tuples, sets, dicts, dataclasses,
TypedDicts, NamedTuples, enums, UUID, Decimal, date, time, timedelta, and datetimes (aware ones as msgpack timestamps,
which come back as the same instant in UTC; naive ones as text, and naive if annotated); paths; attrs classes, and
pydantic's models (models.py). Arguments are a map by parameter name, so a program in any language can enqueue a job,
and a parameter with a default may be added at any time.

Decoding follows the annotations: a parameter `order: Order` (a dataclass) gets an Order, checked field by field.
Without an annotation the value is plain data: a dataclass is then a dict, a set a list.
"""

import inspect
from collections.abc import Callable, Container, Iterable, Mapping
from hashlib import blake2b
from pathlib import PurePath
from typing import Any, TypedDict, get_type_hints

import msgspec

from consumers.jobs import models

__all__ = ["Arguments", "Passed", "decoder", "encode", "place"]


def _plain(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    if (data := models.dumped(value)) is not None:
        return data
    raise TypeError(f"{type(value).__name__} is not data that a job can carry")


def _typed(kind: type, value: Any) -> Any:
    if kind is object:
        return value
    if isinstance(kind, type) and issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    if models.is_model(kind):
        return models.validated(kind, value)
    raise ValueError(f"{kind!r} can't be made from data")


encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder(enc_hook=_plain).encode
"""The msgpack of a value. Raises TypeError for what is not data, OverflowError for an int of more than 64 bits."""

_canonical = msgspec.msgpack.Encoder(enc_hook=_plain, order="deterministic").encode


def decoder(annotation: Any) -> Callable[[bytes], Any]:
    """Return a function from msgpack to the annotated type. It raises msgspec.ValidationError (a ValueError).

    Raises TypeError for an annotation that can't be decoded.
    """
    return msgspec.msgpack.Decoder(annotation, dec_hook=_typed).decode


def _foreign(known: Any) -> str | None:
    """The first class in a type that can't be made from data, and why not."""
    waiting, seen = [known], set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, msgspec.inspect.CustomType) and one.cls is not object:
            if not (isinstance(one.cls, type) and issubclass(one.cls, PurePath)) and not models.is_model(one.cls):
                return f"{one.cls.__name__}, which is not data"
        elif refusal := models.refusal(one):
            return refusal
        elif isinstance(one, tuple):
            waiting += one
        elif isinstance(one, msgspec.inspect.Type | msgspec.inspect.Field):
            waiting += [getattr(one, field) for field in one.__struct_fields__ if field != "default"]
    return None


def place(values: Iterable[object]) -> str:
    """Return a short text that is equal for equal values."""
    return blake2b(_canonical(list(values)), digest_size=12).hexdigest()


class Passed:
    """An argument that is not known yet: the result of a workflow's node; of the one before it if `node` is None."""

    def __init__(self, node: object = None) -> None:
        self.node = node

    def __repr__(self) -> str:
        return "PREVIOUS" if self.node is None else f"{self.node!r}.result"


class Arguments:
    """The parameters of a function: from a call's arguments to msgpack and back."""

    def __init__(self, function: Callable[..., Any], job: str, injected: Container[str] = ()) -> None:
        """job: its name, for error messages. injected: parameters that get no argument.

        Raises TypeError for annotations that can't be decoded.
        """
        self._job = job
        signature = inspect.signature(function)
        self.signature = signature.replace(
            parameters=[one for name, one in signature.parameters.items() if name not in injected]
        )
        self.names = frozenset(self.signature.parameters)
        try:
            hints = get_type_hints(function, include_extras=True)
        except (NameError, TypeError) as error:
            raise TypeError(f"the job {job}: its annotations can't be evaluated: {error}") from error
        self._checks: dict[str, Callable[[Any], Any]] = {}
        for name, hint in hints.items():
            if name not in injected and (check := self._check(name, hint)) is not None:
                self._checks[name] = check
        self.decode_result = decoder(hints.get("return", Any))
        fields = {name: hints.get(name, Any) for name in self.signature.parameters}
        # type checkers do not accept a functional TypedDict built from a variable
        kind: Any = TypedDict("Arguments", fields, total=False)  # type: ignore[misc]
        self._decode = decoder(kind)

    def _check(self, name: str, hint: Any) -> Callable[[Any], Any] | None:
        """Raise TypeError for an annotation that can't be decoded; returns what else has to be checked."""
        what = "the return value" if name == "return" else f"the parameter {name!r}"
        try:
            decoder(hint)
            foreign = _foreign(msgspec.inspect.type_info(hint))
            check = models.checker(hint) if name != "return" else None
        except (TypeError, NameError) as error:
            raise TypeError(f"the job {self._job}: {what} can't be decoded: {error}") from error
        if foreign is not None:
            raise TypeError(f"the job {self._job}: {what} is annotated with {foreign}")
        return check

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments by parameter name. Raises TypeError as the call itself would."""
        try:
            return self.signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"the job {self._job}: {error}") from None

    def bind_some(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The same, but required arguments may be missing; returns their names, too."""
        try:
            bound = self.signature.bind_partial(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"the job {self._job}: {error}") from None
        required = (one for one in self.signature.parameters.values() if one.default is one.empty)
        return bound, tuple(one.name for one in required if one.name not in bound)

    def pack(self, bound: Mapping[str, Any]) -> bytes:
        """Arguments by parameter name, as msgpack. Raises TypeError for one that is not data."""
        try:
            return encode(bound)
        except (TypeError, ValueError, OverflowError) as error:
            for name, value in bound.items():
                try:
                    encode(value)
                except (TypeError, ValueError, OverflowError) as cause:
                    # an error about text is made of more than a message
                    kind = ValueError if isinstance(error, UnicodeError) else type(error)
                    raise kind(f"the job {self._job}: the argument {name!r}: {cause}") from cause
            raise

    def chosen(self, bound: Mapping[str, Any], names: Iterable[str]) -> list[Any]:
        """Return the values of some parameters, including defaults."""
        parameters = self.signature.parameters
        return [bound[name] if name in bound else parameters[name].default for name in names]

    def unpack(self, data: bytes) -> dict[str, Any]:
        """Return arguments by parameter name. Raises msgspec.ValidationError or DecodeError."""
        arguments: dict[str, Any] = self._decode(data)
        for name, check in self._checks.items():
            if name in arguments:
                try:
                    arguments[name] = check(arguments[name])
                except ValueError as error:
                    raise msgspec.ValidationError(f"{error} - at `$.{name}`") from error
        return arguments
