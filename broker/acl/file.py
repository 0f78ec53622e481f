"""The ACL file (`aclfile`): one `user` line per user, as ACL LIST prints them.

A file with any mistake is refused as a whole, with one text that names the first mistake of each line, as in Redis.
Unlike configuration files it has no quoting.
"""

from __future__ import annotations

from collections.abc import Iterable

from broker.acl.selector import UNKNOWN, RuleError, has_spaces
from broker.acl.user import User
from broker.config.kinds import bytes_of
from broker.config.rewriting import replace_file

WARNING = b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed"


class AclFileError(Exception):
    """An ACL file that can't be used; `text` says why, for clients and for the log."""

    def __init__(self, text: bytes) -> None:
        super().__init__(text.decode(errors="replace"))
        self.text = text


def merge_selectors(rules: list[bytes]) -> list[bytes]:
    """Join the words of each selector: `(+get`, `~a)` is one rule. Raises UnmatchedError."""
    merged: list[bytes] = []
    begun = -1
    for at, rule in enumerate(rules):
        if begun >= 0:
            merged[-1] += b" " + rule
        else:
            merged.append(rule)
            if rule.startswith(b"("):
                begun = at
        if begun >= 0 and rule.endswith(b")"):
            begun = -1
    if begun >= 0:
        raise UnmatchedError(begun)
    return merged


class UnmatchedError(Exception):
    """A selector without its closing parenthesis; it begins at rule `at`."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


def read_users(path: str, default: User, all_channels: bool) -> dict[bytes, User]:
    """The users in a file, plus `default` if it does not name that user. Raises AclFileError."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as problem:
        reason = (problem.strerror or str(problem)).encode()
        raise AclFileError(b"Error loading ACLs, opening file '%b': %b" % (bytes_of(path), reason)) from None
    users: dict[bytes, User] = {}
    mistakes: list[bytes] = []
    for number, line in enumerate(text.split(b"\n"), 1):
        line = line.strip(b" \t\r\n")
        if not line or line.startswith(b"#"):
            continue
        mistake = _read_line(line, b"%b:%d" % (bytes_of(path), number), number, users, all_channels)
        if mistake is not None:
            mistakes.append(mistake)
    if mistakes:
        raise AclFileError(b" ".join([*mistakes, WARNING]))
    users.setdefault(default.name, default)
    return users


def _read_line(line: bytes, place: bytes, number: int, users: dict[bytes, User], all_channels: bool) -> bytes | None:
    """Add the user that a line declares; returns what is wrong with it, if anything."""
    words = line.split(b" ")
    if words[0] != b"user" or len(words) < 2:
        return b"%b should start with user keyword followed by the username." % place
    name = words[1]
    if has_spaces(name):
        return b"'%b: username '%b' contains invalid characters." % (place, name)
    if name in users:
        return b"WARNING: Duplicate user '%b' found on line %d." % (name, number)
    user = users[name] = User(name, all_channels)
    try:
        rules = merge_selectors([word.strip(b"\t\r\n ") for word in words[2:]])
    except UnmatchedError as problem:
        return b"%b: Unmatched parenthesis in selector definition starting at '%b'." % (place, words[2 + problem.at])
    for rule in rules:
        try:
            user.apply(rule)
        except RuleError as problem:
            if problem.text == UNKNOWN:
                return b"%b: Error in applying operation '%b': %b." % (place, rule, problem.text)
            return b"%b: %b." % (place, problem.text)
    return None


def write_users(path: str, users: Iterable[User]) -> None:
    """Replace the file by one with these users, atomically and durably. Raises OSError."""
    replace_file(path, b"".join([b"user %b %b\n" % (user.name, user.describe()) for user in users]))
