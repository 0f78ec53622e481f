"""One set of permissions: commands, keys and channels, as rules such as `+get ~cache:*` declare them.

Every user has a root selector, and any number of further ones; a request is allowed if one of them allows all of it.

The commands are flags by command ID: a rule changes flags when it is applied, and is remembered only to be printed. A
rule for a command, subcommand or category replaces earlier ones that it repeats or covers in what is printed, as in
Redis, so that a selector prints the same text as redis-server's.
"""

from __future__ import annotations

import re
from typing import Final

from broker.process.globs import Glob
from broker.table.command import CATEGORIES, DECLARED, Command
from protocol.inline import split_line

READ: Final = 1
WRITE: Final = 2
READ_WRITE: Final = READ | WRITE

SYNTAX: Final = b"Syntax error"
UNKNOWN: Final = b"Unknown command or category name in ACL"
NEEDLESS_KEY: Final = (
    b"Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect."
    b" Try 'resetkeys' to start with an empty list of patterns"
)
NEEDLESS_CHANNEL: Final = (
    b"Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect."
    b" Try 'resetchannels' to start with an empty list of channels"
)
FIRST_ARGUMENT_OF_SUBCOMMAND: Final = b"Allowing first-arg of a subcommand is not supported"

_SPACES: Final = re.compile(rb"[ \t\n\v\f\r\0]")
_GLOB: Final = re.compile(rb"[*?\[\\]")
_CATEGORIES: Final = frozenset(category.encode() for category in CATEGORIES)


class RuleError(Exception):
    """A rule that does not exist or can't be applied; `text` is Redis's reason."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text.decode())
        self.text = text


class KeyPattern:
    """A glob that keys must match, and what it permits for them: READ, WRITE or both.

    `prefix` is set if the pattern is literal up to a star at its end, as nearly all are. The empty key does not match a
    lone star, as in Redis's `stringmatchlen`.
    """

    __slots__ = ("matches", "permissions", "prefix", "text")

    def __init__(self, text: bytes, permissions: int) -> None:
        self.text = text
        self.permissions = permissions
        literal = text.endswith(b"*") and not _GLOB.search(text, 0, len(text) - 1)
        self.prefix: bytes | None = text[:-1] if literal else None
        self.matches = Glob(text).match

    def rule(self) -> bytes:
        """The rule that adds it."""
        sign = b"~" if self.permissions == READ_WRITE else b"%R~" if self.permissions == READ else b"%W~"
        return sign + self.text


class Selector:
    """What a user may do; `allowed` has a byte per command ID that says whether the command is permitted.

    `future` says that commands not known yet would be permitted (`+@all`), `all_commands` that no command is excepted.
    `first_arguments` are the only first arguments with which a command that is otherwise denied may be called, in lower
    case. `all_keys` and `all_channels` make `keys` and `channels` needless; these are by pattern.
    """

    __slots__ = (
        "_rules", "all_channels", "all_commands", "all_keys", "allowed", "channels", "first_arguments", "future",
        "keys",
    )  # fmt: skip

    def __init__(self, all_channels: bool = False) -> None:
        """Nothing is permitted, except all channels if so configured (acl-pubsub-default)."""
        self.allowed = bytearray(len(DECLARED))
        self.future = False
        self.all_commands = False
        self.first_arguments: dict[int, list[bytes]] = {}
        self._rules: list[bytes] = []
        self.all_keys = False
        self.keys: dict[bytes, KeyPattern] = {}
        self.all_channels = all_channels
        self.channels: dict[bytes, Glob] = {}

    def copy(self) -> Selector:
        """An independent selector with the same permissions."""
        twin = Selector(self.all_channels)
        twin.allowed = self.allowed[:]
        twin.future = self.future
        twin.all_commands = self.all_commands
        twin.first_arguments = {command: list(words) for command, words in self.first_arguments.items()}
        twin._rules = list(self._rules)
        twin.all_keys = self.all_keys
        twin.keys = dict(self.keys)
        twin.channels = dict(self.channels)
        return twin

    def permits_all(self) -> bool:
        """Whether there is nothing to check."""
        return self.all_commands and self.all_keys and self.all_channels

    def permits_all_keys(self, permissions: int) -> bool:
        """Whether every key may be accessed so, including those whose names a command takes from the data."""
        if self.all_keys:
            return True
        star = self.keys.get(b"*")
        return star is not None and star.permissions & permissions == permissions

    # Applying rules

    def apply(self, rule: bytes) -> None:
        """Apply one rule. Raises RuleError."""
        sign = rule[:1]
        if sign == b"~" or sign == b"%":
            self._add_key(rule)
        elif sign == b"&":
            self._add_channel(rule)
        else:
            self._apply_word(rule.partition(b"\0")[0])  # a NUL ends it, as everything that Redis compares in C

    def _apply_word(self, rule: bytes) -> None:
        word = rule.lower()
        if word in (b"allcommands", b"+@all"):
            self._set_all(True)
        elif word in (b"nocommands", b"-@all"):
            self._set_all(False)
        elif word == b"allkeys":
            self.all_keys = True
            self.keys.clear()
        elif word == b"resetkeys":
            self.all_keys = False
            self.keys.clear()
        elif word == b"allchannels":
            self.all_channels = True
            self.channels.clear()
        elif word == b"resetchannels":
            self.all_channels = False
            self.channels.clear()
        elif word[:2] in (b"+@", b"-@"):
            self._set_category(word)
        elif word[:1] == b"+":
            self._allow(word[1:])
        elif word[:1] == b"-":
            command = _command(word[1:])
            self._set_command(command, False)
            self._remember(b"-", command.name)
        else:
            raise RuleError(SYNTAX)

    def _set_all(self, permitted: bool) -> None:
        self.allowed = bytearray(b"\1" if permitted else b"\0") * len(self.allowed)
        self.future = self.all_commands = permitted
        self.first_arguments.clear()
        self._rules.clear()

    def _set_category(self, rule: bytes) -> None:
        name = rule[2:]
        if name not in _CATEGORIES:
            raise RuleError(UNKNOWN)
        category = name.decode()
        permitted = rule[:1] == b"+"
        for command in DECLARED.values():
            if category in command.categories:
                self._set_command(command, permitted)
        self._remember(rule[:1], rule[1:])

    def _allow(self, name: bytes) -> None:
        outer, bar, inner = name.rpartition(b"|")
        if not bar:
            self._set_command(_command(name), True)
        else:
            command = _command(outer)
            if b"|" in command.name:
                raise RuleError(FIRST_ARGUMENT_OF_SUBCOMMAND)
            if not inner:
                raise RuleError(SYNTAX)
            if _subcommands(command):
                self._set_command(_command(name), True)
            else:
                words = self.first_arguments.setdefault(command.id, [])
                if inner not in words:
                    words.append(inner)
        self._remember(b"+", name)

    def _set_command(self, command: Command, permitted: bool) -> None:
        """Permit or deny a command with all its subcommands."""
        if not permitted:
            self.all_commands = False
        for each in (command, *_subcommands(command)):
            self.allowed[each.id] = permitted
            self.first_arguments.pop(each.id, None)

    def _remember(self, sign: bytes, name: bytes) -> None:
        """Keep a rule for printing, in place of all for the same command and its subcommands."""
        inner = name + b"|"
        self._rules = [rule for rule in self._rules if rule[1:] != name and not rule.startswith(inner, 1)]
        self._rules.append(sign + name)

    def _add_key(self, rule: bytes) -> None:
        if rule == b"~*":
            self.all_keys = True
            self.keys.clear()
            return
        if self.all_keys:
            raise RuleError(NEEDLESS_KEY)
        permissions = READ_WRITE
        text = rule[1:]
        if rule[:1] == b"%":
            letters, _, text = text.partition(b"~")
            permissions = 0
            for letter in letters.upper():
                bit = READ if letter == ord("R") else WRITE if letter == ord("W") else 0
                if not bit or permissions & bit:
                    raise RuleError(SYNTAX)
                permissions |= bit
            if not permissions:
                raise RuleError(SYNTAX)
        if _SPACES.search(text):
            raise RuleError(SYNTAX)
        known = self.keys.get(text)
        if known is not None:
            permissions |= known.permissions
        self.keys[text] = KeyPattern(text, permissions)

    def _add_channel(self, rule: bytes) -> None:
        if rule == b"&*":
            self.all_channels = True
            self.channels.clear()
            return
        if self.all_channels:
            raise RuleError(NEEDLESS_CHANNEL)
        text = rule[1:]
        if _SPACES.search(text):
            raise RuleError(SYNTAX)
        if text not in self.channels:
            self.channels[text] = Glob(text)

    # Printing

    def describe_commands(self) -> bytes:
        """The rules for commands."""
        return b" ".join((b"+@all" if self.future else b"-@all", *self._rules))

    def describe_keys(self) -> bytes:
        """The rules for keys; empty if no key may be accessed."""
        return b"~*" if self.all_keys else b" ".join([pattern.rule() for pattern in self.keys.values()])

    def describe_channels(self) -> bytes:
        """The rules for channels; empty if there are none."""
        return b"&*" if self.all_channels else b" ".join([b"&" + channel for channel in self.channels])

    def describe(self) -> bytes:
        """All its rules, which make an equal selector out of a new one."""
        channels = self.describe_channels()
        if not self.all_channels:
            channels = b" ".join(filter(None, (b"resetchannels", channels)))
        return b" ".join(filter(None, (self.describe_keys(), channels, self.describe_commands())))


def parse_selector(text: bytes, all_channels: bool) -> Selector:
    """The selector in parentheses, such as `(+get ~a)`. Raises RuleError.

    Its rules are separated as the words of a command line are; with an unbalanced quote there are none, as in Redis.
    """
    selector = Selector(all_channels)
    for rule in split_line(text[1:-1].partition(b"\0")[0]) or ():
        selector.apply(rule)
    return selector


def has_spaces(text: bytes) -> bool:
    """Whether it contains a space or NUL, which would end it in a rule or a file."""
    return _SPACES.search(text) is not None


def _command(name: bytes) -> Command:
    """The command or subcommand of that name, under which rules know it whatever it was renamed to."""
    command = DECLARED.get(name)
    if command is None:
        raise RuleError(UNKNOWN)
    return command


def names_extension(rule: bytes) -> bool:
    """Whether a rule names a command that only brokers with `stream-extensions` have."""
    for word in rule.strip(b"()").lower().split():
        command = DECLARED.get(word[1:]) if word[:1] in (b"+", b"-") else None
        if command is not None and command.extension:
            return True
    return False


def _subcommands(command: Command) -> list[Command]:
    if b"|" in command.name:
        return []
    if not _SUBCOMMANDS:
        for each in DECLARED.values():
            outer, bar, _ = each.name.partition(b"|")
            if bar:
                _SUBCOMMANDS.setdefault(outer, []).append(each)
    return _SUBCOMMANDS.get(command.name, [])


# By container; filled when first needed, since the commands are declared by floors above this one.
_SUBCOMMANDS: Final[dict[bytes, list[Command]]] = {}
