"""What a server says about its commands (COMMAND DOCS), and a command's syntax as Redis's manual writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CommandDoc", "parse_docs"]


@dataclass(frozen=True, slots=True)
class CommandDoc:
    """A command or subcommand. name: as it is written, `XGROUP CREATE`. syntax: all of it but the name."""

    name: str
    summary: str
    syntax: str
    since: str
    group: str
    complexity: str
    subcommands: tuple[CommandDoc, ...] = field(default=())


def parse_docs(reply: Any) -> dict[str, CommandDoc]:
    """From the reply to COMMAND DOCS, a map or a list of pairs, to docs by the command's name in capitals."""
    docs = (_doc(_text(name), entry) for name, entry in _pairs(reply))
    return {doc.name: doc for doc in docs}


def _doc(name: str, entry: Any) -> CommandDoc:
    fields = {_text(key): value for key, value in _pairs(entry)}
    return CommandDoc(
        name=name.replace("|", " ").upper(),
        summary=_text(fields.get("summary", b"")),
        syntax=_sequence(fields.get("arguments", ())),
        since=_text(fields.get("since", b"")),
        group=_text(fields.get("group", b"")),
        complexity=_text(fields.get("complexity", b"")),
        subcommands=tuple(_doc(_text(one), its) for one, its in _pairs(fields.get("subcommands", ()))),
    )


def _sequence(arguments: Iterable[Any], separator: str = " ") -> str:
    return separator.join(_argument({_text(key): value for key, value in _pairs(one)}) for one in arguments)


def _argument(fields: Mapping[str, Any]) -> str:
    flags = {_text(flag) for flag in fields.get("flags", ())}
    kind, token = _text(fields["type"]), _text(fields["token"]) if "token" in fields else ""
    if kind == "oneof":
        inner = _sequence(fields["arguments"], " | ")
        text = inner if "optional" in flags else f"<{inner}>"
    elif kind == "block":
        text = _sequence(fields["arguments"])
    elif kind == "pure-token":
        text, token = token, ""
    else:
        text = _text(fields.get("display_text", fields["name"]))
    if "multiple" in flags:
        again = f"{token} {text}" if token and "multiple_token" in flags else text
        text = f"{text} [{again} ...]"
    text = f"{token} {text}" if token else text
    return f"[{text}]" if "optional" in flags else text


def _pairs(reply: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(reply, Mapping):
        return reply.items()
    return zip(reply[::2], reply[1::2], strict=True)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
