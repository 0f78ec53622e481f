"""A disk in memory, that fails when it is told to and shows what a loss of power may leave.

It takes the place of `broker.persistence.files.Disk`. What was written and what is sure to survive are kept apart:

- the data of a file survives once its `sync` (or `truncate`) has come back. Before that, what was done to the file
  since may be there up to any point, the last write cut at any byte. After a failed sync nothing more of that file
  becomes sure, whatever later syncs say: that is how the kernel behaves that has dropped the pages it could not write.
- names survive once `sync_folder` of their folder has come back. Before that each creation, removal and rename since
  may have happened or not, whatever became of the others; a rename is one of them, never seen half done. One that
  moves a file into another folder is sure when that folder was synced.

`crash_images` gives the disks that a loss of power may leave now; each is a SimulatedDisk to start from.
"""

import errno
import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

from broker.persistence.files import Bytes, Disk, Lock, Output, Source

SHORT = -1
"""In place of an error number: the write takes half of what it is given, one byte at least; other calls do all."""


def each_fault(calls: int) -> list[tuple[int, int]]:
    """What `SimulatedDisk.fail` takes for each of so many calls: an error number (they take turns), and SHORT."""
    return [(call, error) for call in range(calls) for error in ((errno.EIO, errno.ENOSPC)[call % 2], SHORT)]


class File:
    """A file, with a name or (after its removal, while it is open) without."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.sure = content
        self.changes: list[tuple[int, bytes | None]] = []
        """What was done since `sure` held: data written at an offset, or None for a cut at it."""
        self.unreliable = False

    def change(self, offset: int, data: bytes | None) -> None:
        self.changes.append((offset, data))
        _apply(self.content, offset, data)

    def sync(self) -> None:
        if not self.unreliable:
            self.sure = bytes(self.content)
            self.changes.clear()

    def after(self, count: int, part: int) -> bytes:
        """The content with the first `count` changes, and `part` bytes of the next one."""
        content = bytearray(self.sure)
        for offset, data in self.changes[:count]:
            _apply(content, offset, data)
        if part:
            offset, data = self.changes[count]
            assert data is not None
            _apply(content, offset, data[:part])
        return bytes(content)

    def outcomes(self, chance: random.Random) -> list[bytes]:
        """What may be left of it: nothing of what is not sure, all, or up to each change, each also cut somewhere."""
        found = [self.after(0, 0)]
        for count, (_, data) in enumerate(self.changes):
            if data is not None and len(data) > 1:
                found.append(self.after(count, chance.randrange(1, len(data))))
            found.append(self.after(count + 1, 0))
        return list(dict.fromkeys(found))


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


@dataclass(eq=False)
class Folder:
    """A folder: what is in it, and what is sure to be."""

    entries: dict[str, "File | Folder"] = field(default_factory=dict)
    sure: dict[str, "File | Folder"] = field(default_factory=dict)


Node = File | Folder


@dataclass(eq=False)
class Step:
    """One change of names, which happens whole or not at all; sure when `home` was synced."""

    home: Folder
    changes: list[tuple[Folder, str, Node | None]]

    def apply(self, views: dict[Folder, dict[str, Node]]) -> None:
        for folder, name, node in self.changes:
            if node is None:
                views[folder].pop(name, None)
            else:
                views[folder][name] = node


class SimulatedDisk(Disk):
    """See the module.

    Attributes:
        calls: the names of all calls so far, those of files too ("write", "sync", "read"); closing is none.
        open_files: how many sources, outputs and locks are not closed.
        capacity: bytes that all files together may have; writing beyond is short, then fails with ENOSPC.
    """

    def __init__(self, files: dict[str, bytes] | None = None, capacity: int | None = None) -> None:
        """`files` are there, and sure, by their paths; so are their folders."""
        self._root = Folder()
        self._steps: list[Step] = []
        self._faults: dict[int, int] = {}
        self._failed = 0
        self._locks: set[File] = set()
        self.calls: list[str] = []
        self.open_files = 0
        self.capacity = capacity
        for path, content in (files or {}).items():
            *folders, name = _parts(path)
            folder = self._root
            for part in folders:
                inner = folder.entries.setdefault(part, Folder())
                assert isinstance(inner, Folder)
                folder.sure[part] = inner
                folder = inner
            folder.entries[name] = folder.sure[name] = File(content)

    # What a test says and asks.

    def fail(self, call: int, error: int, times: int = 1) -> None:
        """Let a call fail: the next one is 0. `error` is an error number or SHORT; `times` calls in a row do."""
        for number in range(len(self.calls) + call, len(self.calls) + call + times):
            self._faults[number] = error

    def heal(self) -> int:
        """Let nothing fail any more; returns how many calls have failed or been short so far."""
        self._faults.clear()
        self.capacity = None
        return self._failed

    def files(self) -> dict[str, bytes]:
        """All files now, by their paths."""
        return {path: bytes(node.content) for path, node in _walk(self._root, "") if isinstance(node, File)}

    def crash_images(self, limit: int = 1000, seed: int = 0) -> Iterator["SimulatedDisk"]:
        """The disks a loss of power may leave now, no two alike.

        All of them (but for the bytes at which a write is cut: one place a write, drawn with `seed`) where they are
        at most `limit`, else so many drawn with `seed`, with the two extremes among them.
        """
        chance = random.Random(seed)
        unsure = [file for file in self._all_files() if file.changes]
        outcomes = [file.outcomes(chance) for file in unsure]
        choices: list[list[int]] = [[0, 1]] * len(self._steps) + [list(range(len(one))) for one in outcomes]
        picks: Iterator[tuple[int, ...]]
        if prod(map(len, choices)) <= limit:
            picks = itertools.product(*choices)
        else:
            extremes = [tuple(choice[0] for choice in choices), tuple(choice[-1] for choice in choices)]
            drawn = (tuple(map(chance.choice, choices)) for _ in range(limit - 2))
            picks = itertools.chain(extremes, drawn)
        seen = set()
        for pick in picks:
            kept = [step for step, chosen in zip(self._steps, pick, strict=False) if chosen]
            contents = {
                file: outcome[chosen]
                for file, outcome, chosen in zip(unsure, outcomes, pick[len(self._steps) :], strict=True)
            }
            image = self._image(kept, contents)
            if (key := frozenset(image.items())) not in seen:
                seen.add(key)
                yield _disk_of(image)

    def _image(self, steps: list[Step], contents: dict[File, bytes]) -> dict[str, bytes | None]:
        """The files (None: a folder) by their paths after a loss of power that left these."""
        folders = {self._root, *(folder for step in self._steps for folder, _, _ in step.changes)}
        folders |= {node for folder in list(folders) for _, node in _walk(folder, "") if isinstance(node, Folder)}
        folders |= {node for step in self._steps for _, _, node in step.changes if isinstance(node, Folder)}
        views = {folder: dict(folder.sure) for folder in folders}
        for step in steps:
            step.apply(views)
        found: dict[str, bytes | None] = {}

        def walk(folder: Folder, path: str) -> None:
            for name, node in views[folder].items():
                if isinstance(node, Folder):
                    found[path + name] = None
                    walk(node, f"{path}{name}/")
                else:
                    found[path + name] = contents.get(node, node.sure)

        walk(self._root, "")
        return found

    def _all_files(self) -> list[File]:
        """Every file that has a name, had one, or may have it again."""
        found = dict.fromkeys(node for _, node in _walk(self._root, "") if isinstance(node, File))
        found |= dict.fromkeys(node for step in self._steps for _, _, node in step.changes if isinstance(node, File))
        folders = [self._root, *(node for _, node in _walk(self._root, "") if isinstance(node, Folder))]
        found |= dict.fromkeys(node for one in folders for node in one.sure.values() if isinstance(node, File))
        return list(found)

    # The disk's calls.

    def call(self, name: str) -> bool:
        """Count a call, and let it fail if it shall; whether it shall be short."""
        error = self._faults.get(len(self.calls))
        self.calls.append(name)
        if error is not None and (error != SHORT or name == "write"):
            self._failed += 1
        if error is not None and error != SHORT:
            raise OSError(error, os.strerror(error))
        return error == SHORT

    def room(self) -> int:
        """How many bytes may still be written."""
        if self.capacity is None:
            return 1 << 62
        return self.capacity - sum(len(content) for content in self.files().values())

    def _folder(self, path: str) -> Folder:
        node: Node = self._root
        for part in _parts(path):
            if not isinstance(node, Folder):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            if part not in node.entries:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
            node = node.entries[part]
        if not isinstance(node, Folder):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return node

    def _split(self, path: str) -> tuple[Folder, str]:
        folder, name = os.path.split(path)
        return self._folder(folder), name

    def _file(self, path: str) -> File:
        folder, name = self._split(path)
        node = folder.entries.get(name)
        if node is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if isinstance(node, Folder):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return node

    def _step(self, home: Folder, *changes: tuple[Folder, str, Node | None]) -> None:
        step = Step(home, list(changes))
        step.apply({folder: folder.entries for folder, _, _ in changes})
        self._steps.append(step)

    def _made(self, path: str) -> File:
        """The file of that name, made if need be."""
        folder, name = self._split(path)
        if name not in folder.entries:
            self._step(folder, (folder, name, File()))
        return self._file(path)

    def open_source(self, path: str) -> Source:
        self.call("open_source")
        return _Source(self, self._file(path))

    def create(self, path: str) -> Output:
        self.call("create")
        file = self._made(path)
        if file.content:
            file.change(0, None)
        return _Output(self, file, appending=False)

    def create_new(self, path: str) -> Output:
        self.call("create_new")
        folder, name = self._split(path)
        if name in folder.entries:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        return _Output(self, self._made(path), appending=False)

    def append(self, path: str) -> Output:
        self.call("append")
        return _Output(self, self._made(path), appending=True)

    def truncate(self, path: str, size: int) -> None:
        self.call("truncate")
        file = self._file(path)
        file.change(size, None)
        file.sync()

    def rename(self, old: str, new: str) -> None:
        self.call("rename")
        file = self._file(old)
        (from_folder, from_name), (to_folder, to_name) = self._split(old), self._split(new)
        if isinstance(to_folder.entries.get(to_name), Folder):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), new)
        self._step(to_folder, (from_folder, from_name, None), (to_folder, to_name, file))

    def link(self, old: str, new: str) -> None:
        self.call("link")
        file = self._file(old)
        folder, name = self._split(new)
        if name in folder.entries:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), new)
        self._step(folder, (folder, name, file))

    def link_count(self, path: str) -> int:
        self.call("link_count")
        file = self._file(path)
        return sum(node is file for _, node in _walk(self._root, ""))

    def remove(self, path: str) -> None:
        self.call("remove")
        self._file(path)
        folder, name = self._split(path)
        self._step(folder, (folder, name, None))

    def copy(self, old: str, new: str) -> None:
        self.call("copy")
        content = bytes(self._file(old).content)
        file = self._made(new)
        file.change(0, None)
        file.change(0, content)
        file.sync()

    def make_folder(self, path: str) -> None:
        self.call("make_folder")
        folder, name = self._split(path)
        if isinstance(folder.entries.get(name), File):
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        if name not in folder.entries:
            self._step(folder, (folder, name, Folder()))

    def sync_folder(self, path: str) -> None:
        self.call("sync_folder")
        folder = self._folder(path)
        for step in self._steps:
            if step.home is folder:
                step.apply({one: one.sure for one, _, _ in step.changes})
        self._steps = [step for step in self._steps if step.home is not folder]

    def names(self, folder: str) -> list[str]:
        self.call("names")
        return list(self._folder(folder).entries)

    def is_folder(self, path: str) -> bool:
        try:
            self._folder(path)
        except OSError:
            return False
        return True

    def size(self, path: str) -> int | None:
        self.call("size")
        try:
            return len(self._file(path).content)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def lock(self, path: str) -> Lock | None:
        self.call("lock")
        file = self._made(path)
        if file in self._locks:
            return None
        self._locks.add(file)
        self.open_files += 1
        return _Lock(self, file)

    def unlock(self, file: File) -> None:
        """What a lock does when it is released."""
        self._locks.remove(file)
        self.open_files -= 1


class _Source(Source):
    def __init__(self, disk: SimulatedDisk, file: File) -> None:
        self._disk = disk
        self._file = file
        self._at = 0
        disk.open_files += 1

    @property
    def size(self) -> int:
        return len(self._file.content)

    def read(self, count: int) -> bytes:
        if self._disk.call("read"):
            count = max(1, count // 2)
        data = bytes(self._file.content[self._at : self._at + count])
        self._at += len(data)
        return data

    def close(self) -> None:
        self._disk.open_files -= 1


class _Output(Output):
    def __init__(self, disk: SimulatedDisk, file: File, appending: bool) -> None:
        self._disk = disk
        self._file = file
        self._appending = appending
        self._at = 0
        disk.open_files += 1

    @property
    def descriptor(self) -> int:
        return -1

    def write(self, data: Bytes) -> int:
        short = self._disk.call("write")
        count = max(1, len(data) // 2) if short else len(data)
        room = self._disk.room()
        if data and room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = bytes(data[: min(count, room)])
        at = len(self._file.content) if self._appending else self._at
        self._file.change(at, written)
        self._at = at + len(written)
        return len(written)

    def sync(self) -> None:
        try:
            self._disk.call("sync")
        except OSError:
            self._file.unreliable = True
            raise
        self._file.sync()

    def close(self) -> None:
        self._disk.open_files -= 1


class _Lock(Lock):
    def __init__(self, disk: SimulatedDisk, file: File) -> None:
        self._disk = disk
        self._file = file

    def release(self) -> None:
        self._disk.unlock(self._file)


def _disk_of(image: dict[str, bytes | None]) -> SimulatedDisk:
    disk = SimulatedDisk({path: content for path, content in image.items() if content is not None})
    for path in sorted(path for path, content in image.items() if content is None):
        if not disk.is_folder(path):
            disk.make_folder(path)
            disk.sync_folder(os.path.dirname(path))
    disk.calls.clear()
    return disk


def _parts(path: str) -> list[str]:
    """The names along a path. "" and "." are the root, as "/" is: a simulated process never changes its folder."""
    return [part for part in os.path.normpath(path).split("/") if part not in ("", ".", "..")]


def _walk(folder: Folder, path: str) -> Iterator[tuple[str, Node]]:
    for name, node in folder.entries.items():
        yield path + name, node
        if isinstance(node, Folder):
            yield from _walk(node, f"{path}{name}/")
