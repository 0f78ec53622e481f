"""The disk: the only code that touches it.

Everything that persistence does to files is one of the calls of `Disk`, and each call is one thing the disk does, so
that a test can put a disk in its place that fails at any of them, forgets what was not synced, or writes less than it
was given. All of it is synchronous and raises OSError; who must not wait calls it in a thread or in a forked child.

What survives a loss of power: the bytes of a file once its `sync` has come back, and its name (its new name, or its
absence) once `sync_folder` of its folder has. `replace` does both in the one order that leaves the old or the new file.
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
"""Takes all of what it is given, or raises OSError."""

TEMPORARY: Final = "temp-"
"""The beginning of a name that a finished file never has, as in Redis: what a crash leaves of it may be removed."""

_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
# What fsync of a folder says where the system knows no such thing: there is nothing to be done then.
_FOLDER_NOT_SYNCED: Final = (errno.EBADF, errno.EINVAL)

# fdatasync also writes the length that is needed to read the data back, and leaves out the times. macOS lacks it.
sync_descriptor: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)


class Source:
    """A file that is read from its start to its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def size(self) -> int:
        """The file's length in bytes, now."""
        return os.fstat(self._descriptor).st_size

    def read(self, count: int) -> bytes:
        """The next bytes: `count` at most, none only at the end."""
        return os.read(self._descriptor, count)

    def close(self) -> None:
        os.close(self._descriptor)


class Output:
    """A file that is written from its start, or from its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def descriptor(self) -> int:
        """What the system knows the open file by, for syncs beside Python; negative where only `sync` will do."""
        return self._descriptor

    def write(self, data: Bytes) -> int:
        """Write the beginning of `data`; the result says how much of it. `write_all` goes on until all is written."""
        return os.write(self._descriptor, data)

    def sync(self) -> None:
        """Come back when all that was written is on the disk.

        Once it has failed nothing may be concluded from a later success: the system may have dropped what it could not
        write.
        """
        sync_descriptor(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


class Lock:
    """An exclusive right, held until it is released or the process has ended.

    It belongs to the open file: a forked child that closes its copy leaves the lock with the parent, and one that keeps
    it open would hold it beyond the parent's end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


class Disk:
    """The disk of this machine. Relative paths start at the working directory."""

    def open_source(self, path: str) -> Source:
        """Raises FileNotFoundError and other OSErrors."""
        return Source(os.open(path, os.O_RDONLY))

    def create(self, path: str) -> Output:
        """A file of that name, empty, whatever it held before: for temporary names only."""
        return Output(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE))

    def create_new(self, path: str) -> Output:
        """A new file. Raises FileExistsError where there is one of that name, and other OSErrors."""
        return Output(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE))

    def append(self, path: str) -> Output:
        """The file of that name, or a new one, to be written at its end."""
        return Output(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _FILE_MODE))

    def truncate(self, path: str, size: int) -> None:
        """Cut the file to `size` bytes, and come back when it is so on the disk."""
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in place of any other file of that name."""
        os.rename(old, new)

    def remove(self, path: str) -> None:
        """Raises FileNotFoundError and other OSErrors."""
        os.unlink(path)

    def copy(self, old: str, new: str) -> None:
        """Make a second file with the same content, and come back when the content is on the disk."""
        with open(old, "rb") as source, open(new, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())

    def make_folder(self, path: str) -> None:
        """Make a folder, unless there is one of that name."""
        try:
            os.mkdir(path, _FOLDER_MODE)
        except FileExistsError:
            if not os.path.isdir(path):
                raise

    def sync_folder(self, path: str) -> None:
        """Come back when the names of the folder's files are on the disk. The path "" is the working directory."""
        descriptor = os.open(path or os.curdir, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _FOLDER_NOT_SYNCED:
                raise
        finally:
            os.close(descriptor)

    def names(self, folder: str) -> list[str]:
        """What is in the folder, in no order. Raises FileNotFoundError, NotADirectoryError."""
        return os.listdir(folder or os.curdir)

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder of that name."""
        return os.path.isdir(path or os.curdir)

    def size(self, path: str) -> int | None:
        """The length of a file in bytes, None where there is no such file."""
        try:
            return os.stat(path).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def lock(self, path: str) -> Lock | None:
        """Take the lock that this file stands for; None while another process, or another Lock of this one, has it.

        The file stays when the lock is released: with it removed, two processes could lock two files of one name. It
        holds the process's ID, where the disk has room for that.
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
    """Write all of `data`. Where it raises OSError, any part of it may have been written."""
    written = output.write(data)
    size = len(data)
    while written < size:
        count = output.write(memoryview(data)[written:])
        if not count:
            raise OSError(errno.EIO, "the file takes no more bytes")
        written += count


def read_all(disk: Disk, path: str) -> bytes:
    """The content of a file, which must be a small one."""
    source = disk.open_source(path)
    try:
        parts = []
        while part := source.read(1 << 20):
            parts.append(part)
    finally:
        source.close()
    return b"".join(parts)


def lock_holder(disk: Disk, path: str) -> int:
    """The ID of the process that has the lock which this file stands for, 0 where it is not known."""
    try:
        return int(read_all(disk, path))
    except (OSError, ValueError):
        return 0


def temporary_path(path: str) -> str:
    """Where the file that shall replace `path` is written: in the same folder, so that a rename is all it takes."""
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
    """Put a new file in the place of `path`, so that at any moment either the old one or the new one is there, whole.

    `content` is the file's content, or is called with a function that writes. `temporary` is where it is written first
    (by default `temporary_path`). With `sync_every`, it is synced each time so many bytes were written: a long file
    then takes the disk in small steps, not all at the end.

    Raises OSError, and whatever `content` raises; the temporary file is gone then, and `path` is as it was, except that
    it may be the new one, not yet safe, where the sync of the folder is what failed.
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
    """Write a file's content, given as it is or by a function that writes it; see `replace`."""
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
