"""INFO's reply as fields."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["fields", "number", "parts", "sections"]


def sections(reply: bytes | str) -> dict[str, dict[str, str]]:
    """Return each section's fields by the section's name, both in the server's order."""
    text = reply.decode("utf-8", "backslashreplace") if isinstance(reply, bytes) else reply
    found: dict[str, dict[str, str]] = {}
    current = found.setdefault("", {})
    for line in text.splitlines():
        if line.startswith("#"):
            current = found.setdefault(line[1:].strip(), {})
        elif ":" in line:
            name, _, value = line.partition(":")
            current[name] = value
    return {name: section for name, section in found.items() if section}


def fields(reply: bytes | str) -> dict[str, str]:
    """Return the fields of all sections."""
    return {name: value for section in sections(reply).values() for name, value in section.items()}


def number(found: Mapping[str, str], name: str) -> float:
    """Return a field's value; 0 if the server does not have it, or it is not a number."""
    try:
        return float(found.get(name, "0"))
    except ValueError:
        return 0.0


def parts(value: str) -> dict[str, str]:
    """Return the parts of a value such as calls=3,usec=12."""
    return dict(pair.partition("=")[::2] for pair in value.split(","))
