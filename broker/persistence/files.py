"""The disk: the only code that touches it.

Everything that persistence does to files goes through `Disk`, and each of its calls is a single disk operation, so
tests can substitute a disk that fails at any of them, forgets what was not synced, or writes less than it was given.
All calls are synchronous and raise OSError; code that must not block makes them in a thread or in a forked child.

What survives a power failure: the bytes of a file once its `sync` has returned, and its name (or new name, or absence)
once `sync_folder` of its folder has. `replace` does both in the only order that leaves either the old or the new file.
"""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from typing import Final

Bytes = bytes | bytearray | memoryview
Write = Callable[[Bytes], None]
"""Writes everything it is given, or raises OSError."""

TEMPORARY: Final = "temp-"
"""The prefix of unfinished files, as in Redis; a finished file never has it, so leftovers of a crash can be removed."""

_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
# The errors that fsync of a folder returns if the system does not support it, in which case there is nothing to do.
_FOLDER_NOT_SYNCED: Final = (errno.EBADF, errno.EINVAL)

# fdatasync also writes the length, which is needed to read the data back, but not the times. macOS lacks it.
sync_descriptor: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)


class Source:
    """A file that is read from start to end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def size(self) -> int:
        """The file's current length in bytes."""
        return os.fstat(self._descriptor).st_size

    def read(self, count: int) -> bytes:
        """The next bytes, at most `count`; none only at the end."""
        return os.read(self._descriptor, count)

    def close(self) -> None:
        os.close(self._descriptor)


class Output:
    """A file that is written from its start, or appended to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def descriptor(self) -> int:
        """The file descriptor, for syncs outside Python; negative if only `sync` works."""
        return self._descriptor

    def write(self, data: Bytes) -> int:
        """Write the beginning of `data` and return the number of bytes written. `write_all` writes all of it."""
        return os.write(self._descriptor, data)

    def sync(self) -> None:
        """Return once everything written is on the disk.

        After a failure, a later success means nothing: the system may have dropped what it could not write.
        """
        sync_descriptor(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class Lock:
    """An exclusive lock, held until it is released or the process ends.

    It belongs to the open file: a forked child that closes its copy leaves the lock to the parent, and one that keeps
    it open would hold the lock even after the parent has ended.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


class Disk:
    """The disk of this machine. Paths are relative to the working directory."""

    def open_source(self, path: str) -> Source:
        """Open a file for reading. Raises FileNotFoundError and other OSErrors."""
        return Source(os.open(path, os.O_RDONLY))

    def create(self, path: str) -> Output:
        """Create a file of that name, or empty an existing one: for temporary names only."""
        return Output(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE))

    def create_new(self, path: str) -> Output:
        """Create a new file. Raises FileExistsError if the name is taken, and other OSErrors."""
        return Output(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE))

    def append(self, path: str) -> Output:
        """Open a file for appending, creating it if needed."""
        return Output(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _FILE_MODE))

    def truncate(self, path: str, size: int) -> None:
        """Truncate the file to `size` bytes, and return once that is on the disk."""
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: str, new: str) -> None:
        """Rename a file, replacing any other file of the new name."""
        os.rename(old, new)

    def link(self, old: str, new: str) -> None:
        """Give a file another name on the same file system. Raises FileExistsError if that is taken."""
        os.link(old, new)

    def link_count(self, path: str) -> int:
        """The number of names that a file has. Raises FileNotFoundError and other OSErrors."""
        return os.stat(path).st_nlink

    def remove(self, path: str) -> None:
        """Remove a file. Raises FileNotFoundError and other OSErrors."""
        os.unlink(path)

    def copy(self, old: str, new: str) -> None:
        """Copy a file, and return once the contents are on the disk."""
        with open(old, "rb") as source, open(new, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())

    def make_folder(self, path: str) -> None:
        """Create a folder unless it exists."""
        try:
            os.mkdir(path, _FOLDER_MODE)
        except FileExistsError:
            if not os.path.isdir(path):
                raise

    def sync_folder(self, path: str) -> None:
        """Return once the names of the folder's files are on the disk. The path "" is the working directory."""
        descriptor = os.open(path or os.curdir, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _FOLDER_NOT_SYNCED:
                raise
        finally:
            os.close(descriptor)

    def names(self, folder: str) -> list[str]:
        """The names in the folder, in no particular order. Raises FileNotFoundError, NotADirectoryError."""
        return os.listdir(folder or os.curdir)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder of that name."""
        return os.path.isdir(path or os.curdir)

    def size(self, path: str) -> int | None:
        """The length of a file in bytes, or None if there is no such file."""
        try:
            return os.stat(path).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def lock(self, path: str) -> Lock | None:
        """Lock this file; returns None while another process, or another Lock of this process, holds the lock.

        The file remains after the lock is released: if it were removed, two processes could lock two files of the same
        name. It contains the process's ID, if the disk has room for that.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _FILE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, b"%d\n" % os.getpid())
        return Lock(descriptor)


def write_all(output: Output, data: Bytes) -> None:
    """Write all of `data`. If this raises OSError, any part of the data may have been written."""
    written = output.write(data)
    size = len(data)
    while written < size:
        count = output.write(memoryview(data)[written:])
        if not count:
            raise OSError(errno.EIO, "the file takes no more bytes")
        written += count


def read_all(disk: Disk, path: str) -> bytes:
    """The contents of a file, which must be small."""
    source = disk.open_source(path)
    try:
        parts = []
        while part := source.read(1 << 20):
            parts.append(part)
    finally:
        source.close()
    return b"".join(parts)


def lock_holder(disk: Disk, path: str) -> int:
    """The ID of the process that has locked this file, or 0 if unknown."""
    try:
        return int(read_all(disk, path))
    except (OSError, ValueError):
        return 0


def temporary_path(path: str) -> str:
    """The path to write the replacement of `path` to: in the same folder, so that a rename is all it takes."""
    folder, name = os.path.split(path)
    return os.path.join(folder, TEMPORARY + name)


def replace(
    disk: Disk,
    path: str,
    content: bytes | Callable[[Write], None],
    *,
    temporary: str | None = None,
    sync_every: int = 0,
) -> None:
    """Replace `path` by a new file, so that at any moment either the complete old or the complete new file exists.

    `content` is the file's contents, or is called with a function that writes them. They are first written to
    `temporary` (by default `temporary_path`). With `sync_every`, the file is synced every time that many bytes were
    written, so that a long file occupies the disk in small steps instead of all at the end.

    Raises OSError, and whatever `content` raises. The temporary file is removed then, and `path` is unchanged, unless
    it was the sync of the folder that failed: then `path` may be the new file, which a power failure can still undo.
    """
    temporary = temporary or temporary_path(path)
    output = disk.create(temporary)
    try:
        try:
            fill(output, content, sync_every)
            output.sync()
        finally:
            output.close()
        disk.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            disk.remove(temporary)
        raise
    disk.sync_folder(os.path.dirname(path))


def fill(output: Output, content: bytes | Callable[[Write], None], sync_every: int = 0) -> None:
    """Write a file's contents, given as bytes or by a function that writes them; see `replace`."""
    if isinstance(content, bytes):
        write_all(output, content)
        return
    unsynced = 0

    def write(data: Bytes) -> None:
        nonlocal unsynced
        write_all(output, data)
        unsynced += len(data)
        if sync_every and unsynced >= sync_every:
            output.sync()
            unsynced = 0

    content(write)


def write_some(file: Output, data: Bytes) -> tuple[int, OSError | None]:
    """Write until everything is written or a write fails; returns the number of bytes written, and the error."""
    view = memoryview(data)
    written = 0
    try:
        while written < len(view):
            count = file.write(view[written:])
            if not count:
                return written, OSError(errno.EIO, "the file takes no more bytes")
            written += count
    except OSError as problem:
        return written, problem
    return written, None
