"""Which broker may write which files: the one that holds the lock file next to them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from broker.persistence.files import Disk, Lock, lock_holder

if TYPE_CHECKING:
    from broker.config import Config

LOCK_SUFFIX: Final = ".lock"
"""The suffix of the lock files next to the append-only folder and the RDB file; the lock's holder may write there."""


class UnusableFolder(OSError):
    """No files can be created in the folder."""


class FilesInUse(OSError):
    """Another broker has claimed these files."""


class Claims:
    """The files that this broker has claimed, until `release`.

    Places that the directives named earlier stay claimed, since files may still be written there.
    """

    def __init__(self, config: Config, disk: Disk) -> None:
        self._config = config
        self._disk = disk
        self._locks: dict[str, Lock] = {}

    def append_only(self) -> None:
        """Make sure that no other broker writes to the append-only folder. Raises FilesInUse, UnusableFolder."""
        self._claim("appenddirname", self._config.appenddirname, "its append-only file in")

    def snapshots(self) -> None:
        """Make sure that no other broker writes the RDB file. Raises FilesInUse, UnusableFolder."""
        self._claim("dbfilename", self._config.dbfilename, "its RDB file at")

    def release(self) -> None:
        """Release all claims."""
        while self._locks:
            self._locks.popitem()[1].release()

    def _claim(self, directive: str, name: str, what: str) -> None:
        path = os.path.join(self._config.dir, name)
        if path in self._locks:
            return
        lock_path = path + LOCK_SUFFIX
        try:
            lock = self._disk.lock(lock_path)
        except OSError as problem:
            folder = os.path.dirname(path) or os.curdir
            raise UnusableFolder(f"can't keep files in the folder {folder}: {problem.strerror or problem}") from problem
        if lock is None:
            holder = lock_holder(self._disk, lock_path)
            other = f"another broker{f' (pid {holder})' if holder else ''}"
            raise FilesInUse(f"{other} keeps {what} {path}: this one needs another dir or {directive}")
        self._locks[path] = lock
