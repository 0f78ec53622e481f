"""A user: whether they may log in, with which passwords, and what they may do then."""

from __future__ import annotations

import re
from hashlib import sha256
from hmac import compare_digest
from typing import Final

from broker.acl.checking import PERMITTED, permits_with_all_keys, verdict
from broker.acl.selector import READ, RuleError, Selector, parse_selector
from broker.table.command import Command

NO_SUCH_PASSWORD: Final = b"The password you are trying to remove from the user does not exist"
NOT_A_HASH: Final = b"The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"

_HASH: Final = re.compile(rb"[0-9a-f]{64}")


class User:
    """A user, whose permissions change in place: sessions refer to it.

    `passwords` are SHA-256 hashes in hexadecimal. `nopass` accepts any password. `sanitize` is only shown: payloads of
    RESTORE are always checked. The first of `selectors` is the root selector. `has_all_rights` says that nothing needs
    checking. With `all_channels`, new selectors permit all channels (acl-pubsub-default).
    """

    __slots__ = ("all_channels", "enabled", "has_all_rights", "name", "nopass", "passwords", "sanitize", "selectors")

    def __init__(self, name: bytes, all_channels: bool = False) -> None:
        """A user who may not log in, and to whom nothing is permitted."""
        self.name = name
        self.all_channels = all_channels
        self.enabled = False
        self.nopass = False
        self.sanitize = True
        self.passwords: dict[bytes, None] = {}
        self.selectors: list[Selector] = [Selector(all_channels)]
        self.has_all_rights = False

    def become(self, other: User) -> None:
        """Take over another's passwords and permissions, which the other must not be changed after."""
        self.enabled = other.enabled
        self.nopass = other.nopass
        self.sanitize = other.sanitize
        self.passwords = other.passwords
        self.selectors = other.selectors
        self.has_all_rights = other.has_all_rights

    def copy(self, all_channels: bool) -> User:
        """An independent user of the same name, passwords and permissions."""
        twin = User(self.name, all_channels)
        twin.become(self)
        twin.passwords = dict(self.passwords)
        twin.selectors = [selector.copy() for selector in self.selectors]
        return twin

    # What the user may do

    def permits(self, command: Command, args: list[bytes]) -> bool:
        """Whether the request is permitted."""
        return verdict(self.selectors, command, args) == PERMITTED

    def verdict(self, command: Command, args: list[bytes]) -> int:
        """PERMITTED, or why the request is denied; see checking.py."""
        return verdict(self.selectors, command, args)

    def permits_reading_all_keys(self, command: Command, args: list[bytes]) -> bool:
        """Whether the request is permitted even if it reads keys that its arguments don't name."""
        return self.has_all_rights or permits_with_all_keys(self.selectors, command, args, READ)

    def accepts(self, password: bytes) -> bool:
        """Whether the user may log in with this password.

        Comparing takes the same time however much of a hash is right, which tells a patient client nothing.
        """
        if not self.enabled:
            return False
        if self.nopass:
            return True
        given = sha256(password).hexdigest().encode()
        accepted = False
        for known in self.passwords:
            accepted |= compare_digest(known, given)
        return accepted

    # Rules

    def apply(self, rule: bytes) -> None:
        """Apply one rule, such as `on`, `>password` or `+@read`. Raises RuleError."""
        if not rule:
            return
        sign = rule[:1]
        if sign in b"><#!":
            self._change_password(sign, rule[1:])
        elif sign == b"(" and rule.endswith(b")"):
            self.selectors.append(parse_selector(rule, self.all_channels))
        elif not self._apply_flag(rule.partition(b"\0")[0].lower()):
            self.selectors[0].apply(rule)
        self.has_all_rights = any(selector.permits_all() for selector in self.selectors)

    def _apply_flag(self, word: bytes) -> bool:
        if word in (b"on", b"off"):
            self.enabled = word == b"on"
        elif word in (b"nopass", b"resetpass"):
            self.nopass = word == b"nopass"
            self.passwords.clear()
        elif word in (b"sanitize-payload", b"skip-sanitize-payload"):
            self.sanitize = word == b"sanitize-payload"
        elif word == b"clearselectors":
            del self.selectors[1:]
        elif word == b"reset":
            self.become(User(self.name, self.all_channels))
        else:
            return False
        return True

    def _change_password(self, sign: bytes, text: bytes) -> None:
        if sign in b"><":
            text = sha256(text).hexdigest().encode()
        elif not _HASH.fullmatch(text):
            raise RuleError(NOT_A_HASH)
        if sign in b">#":
            self.passwords[text] = None
            self.nopass = False
        elif text in self.passwords:
            del self.passwords[text]
        else:
            raise RuleError(NO_SUCH_PASSWORD)

    def flags(self) -> list[bytes]:
        """The words that say how the user may log in."""
        return [
            b"on" if self.enabled else b"off",
            *([b"nopass"] if self.nopass else ()),
            b"sanitize-payload" if self.sanitize else b"skip-sanitize-payload",
        ]

    def describe(self) -> bytes:
        """All rules, which make an equal user out of a new one."""
        hashes = [b"#" + known for known in self.passwords]
        root, *others = [selector.describe() for selector in self.selectors]
        return b" ".join([*self.flags(), *hashes, root, *[b"(" + other + b")" for other in others]])
