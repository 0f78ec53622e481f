"""The arguments of a command, declared as one line and parsed into the tree that COMMAND DOCS returns.

    SET:   key value [NX|XX]@2.6.12 [GET]@6.2.0 [EX seconds|PX milliseconds|KEEPTTL@6.0.0]
    LPUSH: key element ...
    XREAD: [COUNT count] [BLOCK milliseconds] STREAMS key ... id ...

The notation is the usual one of command references, so a declaration can be read without this page:

- a lower-case word is an argument; an upper-case one (or `=`, `*`...) is a token that is sent literally
- `[...]` is optional, `<...>` only groups, `|` separates alternatives (a "oneof"); a group of several arguments without
  alternatives is a "block"
- whatever directly follows a token, up to the next `[`, token or named group, belongs to it: a single argument carries
  the token itself, several become a block named after it; `<GET> key` keeps them apart
- `...` after an argument or a group: one or more; after a group of one token with its arguments, the token is repeated
  too

Names and types follow conventions (the tables below), and are spelled out only where they differ:

- `name=` names a group or a token; before an argument it is the argument's name, and the word is its display text
- `word:double` sets the argument's type
- `word#1` sets the key specification that an argument belongs to; by default keys are numbered from 0
- `@6.2.0` after an argument or a group is the version that added it, `!2.8.12` the version that deprecated it

Redis keeps these trees as JSON, a page per command; as one line they fit where the command is declared.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple

STRING: Final = "string"
KEY: Final = "key"
TOKEN: Final = "pure-token"
ONE_OF: Final = "oneof"
BLOCK: Final = "block"

NO_KEY_SPEC: Final = -1

EMPTY_TOKEN: Final = '""'
"""Stands for an argument that is the empty string."""

# The type of an argument by its name; all others are strings.
_NAMES_OF_TYPES: Final = {
    "integer": "client-id count cursor db decrement destination-db entries-added entriesread exactly idmp-duration"
    " idmp-maxsize increment index index1 index2 integer len limit maxage maxcount maxsize milliseconds min-idle-time"
    " min-match-len ms num-matches numfields numids numkeys numreplicas offset protover rank seconds start"
    " stop version weight",
    "double": "float score timeout",
    KEY: "destination dst key key1 key2 newkey source src",
    "pattern": "pattern",
    "unix-time": "unix-time-milliseconds unix-time-seconds",
}
_TYPES: Final = {name: kind for kind, names in _NAMES_OF_TYPES.items() for name in names.split()}

# The name of alternatives by their first token.
_NAMES_OF_CHOICES: Final = {
    "NX": "condition",
    "FNX": "condition",
    "IFEQ": "condition",
    "KEEPREF": "condition",
    "EX": "expiration",
    "ASC": "order",
    "ASYNC": "flush-type",
    "BYSCORE": "sortby",
    "MAXLEN": "strategy",
    "=": "operator",
}
_NAME_OF_BLOCKS: Final = "data"

# The name of a token that is not a word.
_NAMES_OF_SIGNS: Final = {"=": "equal", "~": "approximately", "*": "auto-id", "$": "new-id"}

# Compiled on first use, by the reader: it would be most of this module's import time, and few brokers need it.
_PIECE: Final = (
    r"\s*(?:(?P<name>[a-z][a-z0-9-]*)=|(?P<mark>\.\.\.|[][<>|])|(?P<since>@[0-9.]+)|(?P<deprecated>![0-9.]+)"
    r"|(?P<spec>\#\d+)|(?P<argument>[a-z][a-z0-9:-]*)|(?P<token>[^\s\[\]<>|@!\#a-z]+))"
)

_CLOSING: Final = {"[": "]", "<": ">"}


class Argument(NamedTuple):
    """One argument of a command, as COMMAND DOCS describes it.

    `type` is "string", "integer", "double", "key", "pattern", "unix-time", "pure-token", "oneof" or "block"; the
    last two have `arguments`. `shown` is the display text. `key_spec` is an index into the command's key
    specifications, or NO_KEY_SPEC. `repeats_token` says that the token precedes every occurrence.
    """

    name: str
    type: str
    shown: str = ""
    key_spec: int = NO_KEY_SPEC
    token: str = ""
    since: str = ""
    deprecated_since: str = ""
    optional: bool = False
    multiple: bool = False
    repeats_token: bool = False
    arguments: tuple[Argument, ...] = ()


@cache
def arguments_of(syntax: str) -> tuple[Argument, ...]:
    """The arguments that the line describes. Only for lines from declarations, since every result is cached.

    Raises ValueError for a line that does not follow the notation.
    """
    return _Reader(syntax).all()


class _Reader:
    """Reads one line by recursive descent."""

    def __init__(self, syntax: str) -> None:
        self._syntax = syntax
        self._pieces: list[tuple[str, str]] = []
        self._at = 0
        self._next_key = 0
        match_piece = re.compile(_PIECE).match
        at, line = 0, syntax.rstrip()
        while at < len(line):
            match = match_piece(line, at)
            if match is None:
                raise ValueError(f"syntax {syntax!r}: not understood at {line[at:]!r}")
            kind = str(match.lastgroup)
            self._pieces.append((kind, match[kind]))
            at = match.end()

    def all(self) -> tuple[Argument, ...]:
        found = self._sequence()
        if self._at < len(self._pieces):
            raise self._error()
        return tuple(found)

    def _error(self) -> ValueError:
        rest = " ".join(text for _, text in self._pieces[self._at :])
        return ValueError(f"syntax {self._syntax!r}: unexpected {rest or 'end'!r}")

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        at = self._at + ahead
        return self._pieces[at] if at < len(self._pieces) else ("", "")

    def _take(self, kind: str, text: str = "") -> str:
        """Consumes the next piece if it is of that kind (and has that text) and returns its text, else ""."""
        found, value = self._peek()
        if found != kind or (text and value != text):
            return ""
        self._at += 1
        return value

    def _sequence(self) -> list[Argument]:
        found = []
        while self._peek()[0] in ("name", "argument", "token") or self._peek()[1] in _CLOSING:
            found.append(self._element())
            if not found[-1].name:
                raise ValueError(f"syntax {self._syntax!r}: alternatives without a name")
        return found

    def _element(self) -> Argument:
        name = self._take("name")
        for opening in _CLOSING:
            if self._take("mark", opening):
                return self._marked(self._group(name, opening))
        token = self._take("token")
        if token:
            return self._marked(self._token(name, token))
        word = self._take("argument")
        if not word:
            raise self._error()
        return self._marked(self._argument(name, word))

    def _argument(self, name: str, word: str) -> Argument:
        kind = _TYPES.get(name) or _TYPES.get(word, STRING)
        before, _, behind = word.rpartition(":")
        if before and (behind in _NAMES_OF_TYPES or behind == STRING):
            word, kind = before, behind
        spec = self._take("spec")[1:]
        index = int(spec) if spec else self._next_key if kind == KEY else NO_KEY_SPEC
        if index != NO_KEY_SPEC:
            self._next_key = index + 1
        return Argument(name or word, kind, shown=word, key_spec=index)

    def _token(self, name: str, token: str) -> Argument:
        own = name or _NAMES_OF_SIGNS.get(token, token.lower())
        operands = []
        while self._operand_follows():
            operands.append(self._element())
        if not operands:
            return Argument(own, TOKEN, shown=own, token=token)
        if len(operands) > 1:
            return Argument(own, BLOCK, token=token, arguments=tuple(operands))
        only = operands[0]
        if only.arguments or name:
            only = only._replace(name=own)
        return only._replace(token=token)

    def _operand_follows(self) -> bool:
        """Whether the next piece belongs to the token; a named group does not."""
        kind, text = self._peek()
        return text == "<" or (self._peek(1)[0] if kind == "name" else kind) == "argument"

    def _group(self, name: str, opening: str) -> Argument:
        choices = [self._choice()]
        while self._take("mark", "|"):
            choices.append(self._choice())
        if not self._take("mark", _CLOSING[opening]):
            raise self._error()
        if len(choices) > 1:
            default = _NAMES_OF_CHOICES.get(choices[0].token, "")
            found = Argument(name or default, ONE_OF, arguments=tuple(choices))
        else:
            found = choices[0]._replace(name=name) if name else choices[0]
        return found._replace(optional=True) if opening == "[" else found

    def _choice(self) -> Argument:
        found = self._sequence()
        if not found:
            raise self._error()
        return found[0] if len(found) == 1 else Argument(_NAME_OF_BLOCKS, BLOCK, arguments=tuple(found))

    def _marked(self, found: Argument) -> Argument:
        """The argument with the marks that follow it: repetition and versions."""
        if self._take("mark", "..."):
            found = found._replace(multiple=True, repeats_token=bool(found.token))
        since, deprecated = self._take("since")[1:], self._take("deprecated")[1:]
        return found._replace(since=since or found.since, deprecated_since=deprecated or found.deprecated_since)


def usage(arguments: tuple[Argument, ...]) -> str:
    """The arguments as a line for people, formatted as in Redis's reference."""
    return " ".join(map(_usage, arguments))


def _usage(argument: Argument) -> str:
    if argument.type == TOKEN:
        text = argument.token
    elif argument.type == ONE_OF:
        text = " | ".join(map(_usage, argument.arguments))
        text = text if argument.optional and not argument.token else f"<{text}>"
    else:
        text = usage(argument.arguments) or argument.shown
    whole = f"{argument.token} {text}" if argument.token and argument.type != TOKEN else text
    if argument.multiple:
        whole += f" [{whole if argument.repeats_token else text} ...]"
    return f"[{whole}]" if argument.optional else whole
