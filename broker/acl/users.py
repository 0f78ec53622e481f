"""All users of a broker, and where they come from: the configuration or the ACL file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

from broker.acl.file import AclFileError, UnmatchedError, merge_selectors, read_users, write_users
from broker.acl.log import AclLog
from broker.acl.selector import RuleError, has_spaces
from broker.acl.user import User
from broker.config import Config
from broker.config.kinds import text_of
from broker.process.clock import Clock

DEFAULT: Final = b"default"

TWO_SOURCES: Final = (
    "Configuring users in redis.conf and at the same time setting an ACL file path is invalid. This setup is very"
    " likely to lead to configuration errors and security holes, please define either an ACL file or declare users"
    " directly in your redis.conf, but not both."
)


class Users:
    """The users by name; `default` is the one that every client starts as. `log` is ACL LOG.

    The default user is the same object for good, the others until they are deleted or the ACL file is loaded again.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        """The users that the configuration declares. Raises ValueError with the reason if they can't be used."""
        self._config = config
        self.log = AclLog(config, clock)
        self.default = self._unrestricted()
        self._by_name = {DEFAULT: self.default}
        self.set_default_password(config.requirepass)
        if config.aclfile:
            if config.users:
                raise ValueError(TWO_SOURCES)
            try:
                self.load()
            except AclFileError as problem:
                raise ValueError(f"Aborting startup because of ACL errors: {problem}") from None
        else:
            self._declare(config.users)

    def __getitem__(self, name: bytes) -> User:
        return self._by_name[name]

    def __iter__(self) -> Iterator[User]:
        """In the order of their names, as Redis lists them."""
        for name in sorted(self._by_name):
            yield self._by_name[name]

    def get(self, name: bytes) -> User | None:
        """The user of that name, None if there is none."""
        return self._by_name.get(name)

    def login_required(self) -> bool:
        """Whether a client must log in before it may do anything."""
        return not (self.default.nopass and self.default.enabled)

    def create(self, name: bytes) -> User:
        """A user to whom nothing is permitted, and who isn't added yet."""
        return User(name, self.all_channels())

    def add(self, user: User) -> None:
        """Add a new user."""
        self._by_name[user.name] = user

    def remove(self, name: bytes) -> User | None:
        """Remove a user and return it; None if there is none. The default user can't be removed."""
        return self._by_name.pop(name, None)

    def all_channels(self) -> bool:
        """Whether new selectors permit all channels."""
        return self._config.acl_pubsub_default == "allchannels"

    def set_default_password(self, password: bytes) -> None:
        """Make this the default user's only password; empty means that it needs none (the directive requirepass)."""
        self.default.apply(b"resetpass")
        self.default.apply(b">" + password if password else b"nopass")

    # The ACL file

    def path(self) -> str | None:
        """The ACL file's path, None if none is configured."""
        name = self._config.aclfile
        return os.path.join(self._config.dir, name) if name else None

    def load(self) -> None:
        """Replace all users by those of the ACL file. Raises AclFileError.

        If the file does not name the default user, that is as in a broker without configuration, whatever requirepass
        says; it remains the same object in any case.
        """
        path = self.path()
        assert path is not None
        loaded = read_users(path, self._unrestricted(), self.all_channels())
        self.default.become(loaded[DEFAULT])
        loaded[DEFAULT] = self.default
        self._by_name = loaded

    def save(self) -> None:
        """Write all users to the ACL file. Raises OSError."""
        path = self.path()
        assert path is not None
        write_users(path, self)

    # Declarations

    def _unrestricted(self) -> User:
        user = User(DEFAULT, self.all_channels())
        for rule in (b"+@all", b"~*", b"&*", b"on", b"nopass"):
            user.apply(rule)
        return user

    def _declare(self, lines: list[list[bytes]]) -> None:
        """Add the users of the configuration's `user` lines. Raises ValueError."""
        declared = set()
        for name, *rules in lines:
            shown = text_of(name)
            if has_spaces(name):
                raise ValueError(f"Spaces not allowed in ACL usernames: '{shown}'")
            if name in declared:
                raise ValueError(
                    f"Error in user declaration '{shown}': Duplicate user found. A user can only be defined once in"
                    " config files"
                )
            declared.add(name)
            user = self.create(name)
            try:
                for rule in merge_selectors(rules):
                    self._apply_declared(user, rule)
            except UnmatchedError as problem:
                raise ValueError(
                    f"Error in user declaration '{shown}': unmatched parenthesis in '{text_of(rules[problem.at])}'"
                ) from None
            if name == DEFAULT:
                self.default.become(user)
            else:
                self.add(user)

    def _apply_declared(self, user: User, rule: bytes) -> None:
        try:
            user.apply(rule)
        except RuleError as problem:
            shown = "a password" if rule[:1] in b"><#!" else f"'{text_of(rule)}'"
            raise ValueError(
                f"Error loading ACL rule {shown} for the user named '{text_of(user.name)}': {problem}"
            ) from None
