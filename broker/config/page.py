"""Writes docs/configuration.md from the table of directives (`make docs`).

A test compares the file with this output, so it can't drift from the code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from broker.config.directives import TABLE
from broker.config.kinds import Directive
from broker.config.valkey import SYNONYMS, ValkeyDeclarations

_HEAD: Final = """\
# Configuration

All directives of this broker, generated from its table (`make docs`): those of redis-server 8.10, with its names,
values, defaults and error texts, a few of our own, and those of Valkey 9. A redis.conf or valkey.conf file works
unchanged, and so do redis-server's arguments; `CONFIG GET *` lists what redis-server lists, and our own.

No directive is ignored silently:

- **active** directives do what they do in Redis.
- **no effect**: accepted and checked, reported by CONFIG GET and kept by CONFIG REWRITE, but nothing here depends on
  them, and ignoring them harms nobody. A start with a value other than the default names them in one line of the log,
  `these directives have no effect here`; CONFIG SET answers OK and logs a warning, `CONFIG SET: hz has no effect here`.
- **refused**: any value but the default asks for something that this broker does not have, and ignoring it would be
  unsafe: unencrypted clients, the only copy of data that was meant to be replicated. Such a value stops the start with
  one line, and CONFIG SET answers with an error, `... is not supported`.

*at the start* marks what CONFIG SET can't change, as in Redis; *protected*, what it changes only where
`enable-protected-configs` allows it.
"""

_OWN: Final = """
## Our own

| directive | default | |
|---|---|---|"""

_VALKEY: Final = """
## Valkey's

Accepted like the others; CONFIG GET shows them only when named in full.

| directive | default | |
|---|---|---|"""

_SHOWN_MAX: Final = 60


def lines() -> Iterator[str]:
    """Yields the page line by line."""
    yield from _HEAD.splitlines()
    valkey = {name for name, directive in TABLE.items() if directive.attribute in vars(ValkeyDeclarations)}
    redis = [directive for name, directive in TABLE.items() if not directive.own and name not in valkey]
    yield ""
    yield "| directive | default | |"
    yield "|---|---|---|"
    yield from _rows(redis)
    yield from _OWN.splitlines()
    yield from _rows(directive for directive in TABLE.values() if directive.own)
    yield from _VALKEY.splitlines()
    yield from _rows(TABLE[name] for name in valkey)
    for name, meant in sorted(SYNONYMS.items()):
        yield f"| `{name}` | | another name for `{meant}` |"


def effect(directive: Directive[Any]) -> str:
    """What a value other than the default does."""
    if isinstance(directive.inert, str):
        return f"refused: {directive.inert} is not supported"
    return "no effect" if directive.inert else "active"


def _rows(directives: Iterable[Directive[Any]]) -> Iterator[str]:
    for directive in sorted(directives, key=lambda directive: directive.name):
        default = directive.text(directive.default).decode()
        shown = f"`{default}`" if default else ""
        if len(shown) > _SHOWN_MAX:
            shown = f"`{default[: _SHOWN_MAX - 5]}...`"
        name = f"`{directive.name}`"
        if directive.alias and directive.alias.replace("_", "-") != directive.name:
            name += f", `{directive.alias}`"
        marks = [effect(directive)]
        marks += ["at the start"] * directive.immutable + ["protected"] * directive.protected
        yield f"| {name} | {shown} | {', '.join(marks)} |"


def main() -> None:
    """Prints the page."""
    print("\n".join(lines()))
