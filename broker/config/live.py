"""The current configuration: plain attributes to read, CONFIG GET and CONFIG SET, and change listeners.

A value is read as `config.maxclients`: the directive's name with underscores. Changes at run time go through set(),
which makes either all or none of them, so that no code ever acts on half a change. Code that must follow a change (to
listen on another port) registers with on_change().
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from broker.config.directives import BY_NAME, TABLE, Declarations
from broker.config.kinds import Directive, text_of
from broker.config.valkey import SYNONYMS
from broker.process.globs import Glob
from protocol.errors import LOADING, CommandError

Listener = Callable[[Any], None]
"""Called with a directive's new value; raises ValueError with the reason to refuse it."""

if TYPE_CHECKING:
    _Values = Declarations
else:
    # The declarations are descriptors; on the class they would double the cost of every read (27 ns instead of 13), and
    # at run time only the table needs them.
    class _Values:
        pass


class Config(_Values):
    """The values of all directives.

    file: the absolute path of the redis.conf file they were read from, or None.
    renamed_commands: (command, new name) in order; an empty new name removes the command.
    users: the words of every `user` line after the first, in order.
    """

    def __init__(self) -> None:
        for directive in TABLE.values():
            setattr(self, directive.attribute, directive.default)
        self.dir = os.getcwd()
        self.file: str | None = None
        self.renamed_commands: list[tuple[bytes, bytes]] = []
        self.users: list[list[bytes]] = []
        self._listeners: dict[str, list[Listener]] = {}

    def on_change(self, name: str, listener: Listener) -> None:
        """Call listener with the new value after each change of that directive by CONFIG SET.

        If one refuses, having changed nothing itself, all values are restored, and the listeners called before it are
        called again with the old value.
        """
        self._listeners.setdefault(TABLE[name].name, []).append(listener)

    def get(self, patterns: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
        """(name, value) of every directive that a pattern matches, each once.

        A name without `*`, `?` or `[` is looked up and returned in the caller's spelling, and also finds hidden
        directives. An alias is returned under its own name, as in Redis.
        """
        found: dict[str, tuple[bytes, bytes]] = {}
        for pattern in patterns:
            if not any(special in pattern for special in (b"*", b"?", b"[")):
                name = text_of(pattern.lower())
                named = BY_NAME.get(name)
                if named is not None and name not in found:
                    found[name] = (pattern, self.text(named))
                continue
            matches = Glob(pattern, nocase=True).match
            for name, directive in BY_NAME.items():
                if directive.hidden or name in SYNONYMS or name in found:
                    continue
                if matches(name.encode()):
                    found[name] = (name.encode(), self.text(directive))
        return list(found.values())

    def text(self, directive: Directive[Any]) -> bytes:
        """A directive's value as CONFIG GET shows it."""
        return directive.text(getattr(self, directive.attribute))

    def set(self, pairs: Sequence[tuple[bytes, bytes]], *, local: bool = False, loading: bool = False) -> None:
        """CONFIG SET: change all of these directives, or none.

        local: the client is on this machine (enable-protected-configs may allow it more); loading: the data set is
        being loaded. Raises CommandError with Redis's texts.
        """
        chosen = self._choose(pairs, local, loading)
        before = {directive.attribute: getattr(self, directive.attribute) for _, directive, _ in chosen}
        called: list[tuple[Listener, Any]] = []
        at = ""
        try:
            for name, directive, value in chosen:
                at = name
                # Single spaces separate words, so two consecutive ones enclose an empty word, as in Redis.
                words = (value.split(b" ") if value else []) if directive.several else [value]
                if directive.ends_at_null and b"\0" in value:
                    words = [word.partition(b"\0")[0] for word in words]
                self.assign(directive, words)
            for name, directive, _ in chosen:
                at = name
                value_now = getattr(self, directive.attribute)
                if value_now != before[directive.attribute] or directive.volatile:
                    for listener in self._listeners.get(directive.name, ()):
                        listener(value_now)
                        called.append((listener, before[directive.attribute]))
        except ValueError as error:
            self.__dict__.update(before)
            for listener, value_before in reversed(called):
                with suppress(ValueError):  # a file that was right a moment ago, for example
                    listener(value_before)
            raise CommandError(_refusal(at.encode(), str(error))) from None

    def assign(self, directive: Directive[Any], words: Sequence[bytes]) -> None:
        """Set a directive to the value that the words specify, without calling listeners. Raises ValueError."""
        attribute = directive.attribute
        value = directive.parse(words, getattr(self, attribute))
        if problem := directive.unsupported(value):
            raise ValueError(problem)
        setattr(self, attribute, value)

    def without_effect(self) -> list[str]:
        """The directives whose value was changed although they have no effect here, to warn about them."""
        return [
            name
            for name, directive in TABLE.items()
            if directive.inert and getattr(self, directive.attribute) != directive.default
        ]

    def allows(self, action: str, local: bool) -> bool:
        """Whether a protected action is allowed, given the value of its `enable-...` directive."""
        return action == "yes" or (action == "local" and local)

    def _choose(
        self, pairs: Sequence[tuple[bytes, bytes]], local: bool, loading: bool
    ) -> list[tuple[str, Directive[Any], bytes]]:
        """The directives that the pairs name, after checking that all of them may be set."""
        chosen: list[tuple[str, Directive[Any], bytes]] = []
        for given, value in pairs:
            name = text_of(given.lower())
            directive = BY_NAME.get(name)
            if directive is None:
                raise CommandError(b"ERR Unknown option or number of arguments for CONFIG SET - '" + given + b"'")
            if directive.immutable:
                raise CommandError(_refusal(given, "can't set immutable config"))
            if directive.protected and not self.allows(self.enable_protected_configs, local):
                raise CommandError(_refusal(given, "can't set protected config"))
            if loading and not directive.while_loading:
                raise CommandError(LOADING)
            if any(directive is other for _, other, _ in chosen):
                raise CommandError(_refusal(given, "duplicate parameter"))
            chosen.append((name, directive, value))
        return chosen


def _refusal(name: bytes, reason: str) -> bytes:
    text = b"ERR CONFIG SET failed (possibly related to argument '" + name + b"') - "
    return text + reason.encode("utf-8", "surrogateescape")
