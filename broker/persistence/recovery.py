"""Start-up: rebuilding the keyspace from the disk.

As in Redis, with `appendonly` only the append-only file counts, otherwise only the RDB file. Loading proceeds in slices
of a few milliseconds, so that early clients are answered that the broker is loading, and can ask how far it is.

Damaged files are refused, with the file, the offset and the reason; nothing is skipped. Only if the last non-empty file
ends in the middle of a command is the rest cut off, provided that `aof-load-truncated` allows it: that is what a crash
during a write leaves behind. (Empty increments after it don't count: a rewrite had just begun.)
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import trio

from broker.formats.aof.manifest import BadManifest, Manifest, single_base
from broker.formats.aof.reading import CommandReader, Damaged, Truncated
from broker.formats.rdb.file_loading import Loaded, load_rdb
from broker.formats.rdb.format import MAGIC, VALKEY_MAGIC
from broker.formats.rdb.reader import BadFormat, Reader, Unsupported
from broker.formats.rdb.target import KeyspaceTarget, MergingTarget
from broker.persistence.delays import delay_seconds
from broker.persistence.environment import LoadError
from broker.persistence.files import TEMPORARY
from broker.persistence.progress import Progress
from broker.persistence.replaying import Replayer
from broker.process.collector import exempt_loaded
from broker.table.command import CommandTable
from protocol.errors import CommandError

if TYPE_CHECKING:
    from broker.clients.session import Host
    from broker.persistence.append_only_folder import AppendOnlyFolder
    from broker.persistence.environment import Environment, FunctionLibraries
    from broker.persistence.files import Disk, Source
    from broker.persistence.journal import Journal
    from broker.persistence.saving import Snapshots

_SLICE_SECONDS: Final = 0.005

# How often a delay of loading looks whether the directive has changed.
_DELAYED_SECONDS: Final = 0.05

FIX: Final = (
    "Make a copy of it, examine it with `trimaran check`, and let `trimaran check --fix` cut off the damaged part"
)


class Recovery:
    """Loads the files on the disk."""

    def __init__(
        self,
        environment: Environment,
        folder: AppendOnlyFolder,
        snapshots: Snapshots,
        journal: Journal,
        functions: FunctionLibraries,
        commands: CommandTable,
        host: Host,
    ) -> None:
        """The append-only file is executed with `commands`, for a client of `host`."""
        self._config = environment.config
        self._log = environment.log
        self._clock = environment.clock
        self._keyspace = environment.keyspace
        self._state = environment.state
        self._stats = environment.stats
        self._stream = environment.stream
        self._disk = folder.disk
        self._folder = folder
        self._snapshots = snapshots
        self._journal = journal
        self._functions = functions
        self._commands = commands
        self._host = host
        self.progress = Progress(environment.log)
        self.loaded = Loaded()
        self._at_once = False

    async def run(self, *, sweep: bool) -> None:
        """Load the files, and open the append-only file if it is configured. Raises LoadError.

        `sweep` says that no other broker writes this RDB file, so its temporary files are left over from a crash.
        """
        self.progress.begin(self._clock.read() // 1000)
        began = time.perf_counter()
        self._state.loading = True
        self._state.restrict()
        try:
            with _uncollected():
                if sweep:
                    self._sweep(self._config.dir, self._snapshots.left_behind)
                if self._config.appendonly:
                    await self._load_append_only()
                else:
                    await self._load_snapshot()
        except OSError as problem:
            raise LoadError(f"{problem.filename or 'the disk'}: {problem.strerror or problem}") from problem
        self._keyspace.changes = self._keyspace.dirty = 0
        self._state.loading = False
        self._state.restrict()
        self._keyspace.deadline_moved()
        keys = sum(len(database.data) for database in self._keyspace.databases)
        if keys or self.progress.total:
            source = "append only file" if self._config.appendonly else "disk"
            seconds = time.perf_counter() - began
            self._log.notice(f"DB loaded from {source}: {seconds:.3f} seconds", keys=keys, bytes=self.progress.total)

    async def load_received(self, name: str, source: Callable[[int], bytes], size: int, target: KeyspaceTarget) -> None:
        """Load an RDB file from a master, in which nothing has expired, except for the functions in it.

        `name` is what errors call it. Raises LoadError, and what `source` raises.
        """
        self.progress.begin(self._clock.read() // 1000)
        self.progress.total = size
        with _uncollected():
            await self._load(self._keys(name, Reader(source=source, size=size), None, target))

    def _sweep(self, folder: str, left_behind: Callable[[str], bool]) -> None:
        """Remove the unfinished files that a crash has left."""
        for name in self._disk.names(folder):
            if left_behind(name):
                self._log.notice("removing the leftover file of an unfinished save", file=os.path.join(folder, name))
                # A child that has outlived its broker may remove or rename it at the same moment.
                with contextlib.suppress(FileNotFoundError):
                    self._disk.remove(os.path.join(folder, name))

    async def _load(self, steps: Iterator[int], before: int = 0) -> None:
        """Run the steps of loading a file, yielding to other tasks in between; `before` bytes were loaded earlier."""
        progress = self.progress
        pause_at = time.perf_counter() + _SLICE_SECONDS
        keys = 0
        for offset in steps:
            progress.loaded = before + offset
            now = time.perf_counter()
            if self._at_once:
                continue
            if self._config.key_load_delay:
                keys = await self._delay(keys)
            if now >= pause_at:
                progress.report()
                await trio.lowlevel.checkpoint()
                pause_at = time.perf_counter() + _SLICE_SECONDS

    def _clear(self) -> None:
        """Remove all keys, which are freed later, bit by bit."""
        for database in self._keyspace.databases:
            data = database.data
            database.clear()
            self._keyspace.release(data)

    async def _delay(self, loaded: int) -> int:
        """Wait as key-load-delay says for the keys loaded since there were so many; returns their number."""
        keys = sum(len(database.data) for database in self._keyspace.databases)
        waited = 0.0
        while (left := delay_seconds(self._config.key_load_delay, keys - loaded) - waited) > 0:
            await trio.sleep(min(left, _DELAYED_SECONDS))
            waited += _DELAYED_SECONDS
        return keys

    # A snapshot

    def reload(self, *, flush: bool, merge: bool) -> None:
        """Load the RDB file while all clients wait (DEBUG RELOAD). Raises LoadError and OSError.

        With `flush`, all keys and functions are removed first. With `merge`, a key in the file replaces an existing
        one; without, the key must not exist. Watched keys count as changed.
        """
        path = self._snapshots.path
        target = (MergingTarget if merge else KeyspaceTarget)(self._keyspace)
        self._state.loading = True
        try:
            with _opened(self._disk, path) as source:
                if flush:
                    self._functions.flush()
                    self._clear()
                reader = Reader(source=source.read, size=source.size)
                for _ in self._rdb(path, reader, self._clock.now, target):
                    pass
        finally:
            self._state.loading = False
            self._keyspace.deadline_moved()
            for database in self._keyspace.databases:
                for name in database.listened_keys():
                    database.alert(name)

    async def _load_snapshot(self) -> None:
        path = self._snapshots.path
        size = self._disk.size(path)
        if size is None:
            return
        self.progress.total = size
        with _opened(self._disk, path) as source:
            target = KeyspaceTarget(self._keyspace)
            await self._load(self._rdb(path, Reader(source=source.read, size=size), self._clock.now, target))
        self._stream.restore(target.facts)

    def _rdb(self, path: str, reader: Reader, now: int | None, target: KeyspaceTarget) -> Generator[int, None, None]:
        """Load an RDB file, or the one at the beginning of an append-only file."""
        yield from self._keys(path, reader, now, target)
        try:
            for code in target.functions:
                self.load_library(code)
        except ValueError as problem:
            raise _unusable(path, problem) from problem

    def _keys(self, path: str, reader: Reader, now: int | None, target: KeyspaceTarget) -> Generator[int, None, None]:
        self.progress.rdb(target.facts)
        verify = self._config.rdbchecksum and not self._state.checksums_ignored
        try:
            config = self._config
            self.loaded = loaded = Loaded()
            yield from load_rdb(
                reader, target, config, now=now, verify=verify, skip_unsupported=config.rdb_skip_unsupported,
                loaded=loaded,
            )  # fmt: skip
        except (BadFormat, ValueError) as problem:
            hint = "; with rdb-skip-unsupported yes such keys are left out" if isinstance(problem, Unsupported) else ""
            shown = self._log.user_data(problem) if hint else problem  # which names a key
            raise _unusable(path, f"{shown}{hint}") from problem
        self._stats.count_packed_values(reader.packed)
        for key, what in loaded.skipped_keys:
            shown = self._log.user_data(key)
            self._log.warning("a key was left out: this broker doesn't have its type", key=shown, holds=what)
        if loaded.skipped:
            self._log.warning(
                "keys were left out, as rdb-skip-unsupported says; saving will lose them",
                file=path,
                keys=loaded.skipped,
            )
        self._log.notice(f"Done loading RDB, keys loaded: {loaded.keys}, keys expired: {loaded.expired}.", file=path)

    def load_library(self, code: bytes) -> None:
        """Load a library of functions. Raises ValueError."""
        try:
            self._functions.load_source(code)
        except CommandError as problem:
            # It may quote the library.
            shown = self._log.user_data(problem.text.decode(errors="replace"))
            raise ValueError(str(shown)) from None

    # The append-only file

    async def _load_append_only(self) -> None:
        folder = self._folder
        folder.manifest = self._manifest()
        self._sweep(folder.path, folder.left_behind)
        for _ in range(len(folder.manifest.increments) + 1):
            paths = [folder.file(entry.name) for entry in folder.manifest.files()]
            sizes = [self._size(path) for path in paths]
            self.progress.total = sum(sizes)
            try:
                checksum = await self._load_files(paths, sizes)
            except _CutOff:
                self._functions.flush()
                self._clear()
                continue
            break
        self._open(checksum)

    def reload_append_only(self) -> None:
        """Load the append-only files while all clients wait (DEBUG LOADAOF). Raises LoadError and OSError."""
        folder, keyspace = self._folder, self._keyspace
        paths = [folder.file(entry.name) for entry in folder.manifest.files()]
        sinks = list(keyspace.effects.sinks)
        keyspace.effects.sinks.clear()  # what is loaded is in the files already
        self._state.loading = self._at_once = True
        try:
            self._functions.flush()
            self._clear()
            self._state.restrict()  # the commands must find what a pause or import mode hides
            # Nothing in it waits as long as it is to be done at once.
            with contextlib.suppress(StopIteration):
                self._load_files(paths, [self._size(path) for path in paths]).send(None)
        except _CutOff:
            raise LoadError("the last file ends in something damaged") from None
        finally:
            self._state.loading = self._at_once = False
            self._state.restrict()
            keyspace.dirty = 0
            keyspace.effects.sinks.extend(sinks)
            keyspace.deadline_moved()
            for database in keyspace.databases:
                for name in database.listened_keys():
                    database.changed_silently(name, 0)

    def _manifest(self) -> Manifest:
        """The manifest, created if there is only the single file of an older Redis. Raises LoadError."""
        folder, config = self._folder, self._config
        try:
            folder.settle()
        except BadManifest as problem:
            raise LoadError(f"{folder.manifest_path}: {problem}") from problem
        manifest = folder.manifest
        single = os.path.join(config.dir, config.appendfilename)
        moved = folder.file(config.appendfilename)
        if self._disk.size(single) is None:
            return manifest
        if self._disk.size(moved) is not None:
            if not manifest:
                raise LoadError(f"{single}: the file is also at {moved}, and no manifest says which one counts")
            return manifest
        alone = replace(single_base(config.appendfilename), history=manifest.history)
        if not manifest or manifest == alone:
            # The manifest first: until the file is where it says, a restart does this again.
            folder.put_manifest(alone)
            self._disk.rename(single, moved)
            self._disk.sync_folder(folder.path)
            self._disk.sync_folder(config.dir)
            self._log.notice("the append-only file of an older server was moved", file=moved)
            return folder.manifest
        return manifest

    def _size(self, path: str) -> int:
        size = self._disk.size(path)
        if size is None:
            raise LoadError(f"{path}: the manifest names this file, but it doesn't exist")
        return size

    async def _load_files(self, paths: list[str], sizes: list[int]) -> int:
        """Load all files; returns the checksum with which to continue the last one."""
        last = max((at for at, size in enumerate(sizes) if size), default=-1)
        checksum = 0
        before = 0
        for at, (path, size) in enumerate(zip(paths, sizes, strict=True)):
            with _opened(self._disk, path) as source:
                file = _File(path, size, at == last)
                await self._load(self._file(file, source), before)
            checksum = file.checksum
            before += size
        return checksum

    def _file(self, file: _File, source: Source) -> Generator[int, None, None]:
        """Load one file: a dump, commands, or a dump followed by commands."""
        begin = b""
        while len(begin) < len(VALKEY_MAGIC) and (part := source.read(len(VALKEY_MAGIC) - len(begin))):
            begin += part
        reader = Reader(begin, source=source.read, size=file.size)
        if begin.startswith((MAGIC, VALKEY_MAGIC)):
            yield from self._rdb(file.path, reader, None, KeyspaceTarget(self._keyspace))
        commands = CommandReader(reader.read, file.size, reader.offset)
        try:
            yield from self._replay(file.path, commands)
        except Truncated as problem:
            self._cut(file, problem.offset, "ends in the middle of a command")
            self.progress.total -= file.size - problem.offset
        except Damaged as problem:
            if file.last and file.size - problem.whole <= self._config.aof_load_corrupt_tail_max_size:
                self._cut(file, problem.whole, str(problem))
                # Some of the commands cut off may have been executed.
                raise _CutOff from None
            raise LoadError(f"Bad file format reading the append only file {file.path}: {problem}. {FIX}") from problem
        file.checksum = commands.checksum

    def _cut(self, file: _File, offset: int, reason: str) -> None:
        """Truncate the last file, if that is allowed. Raises LoadError."""
        if not file.last:
            raise LoadError(
                f"Unexpected end of file reading the append only file {file.path}: {reason} after byte {offset}, and"
                f" other files follow. {FIX}"
            )
        if not self._config.aof_load_truncated:
            raise LoadError(
                f"Unexpected end of file reading the append only file {file.path}: {reason} after byte {offset}."
                f" Either set aof-load-truncated to yes, and it is cut off there at the next start, or: {FIX}"
            )
        self._log.warning(
            "AOF loaded anyway because aof-load-truncated is enabled: its incomplete end is cut off",
            file=file.path,
            reason=reason,
            offset=offset,
            lost_bytes=file.size - offset,
        )
        self._disk.truncate(file.path, offset)

    def _replay(self, path: str, reader: CommandReader) -> Iterator[int]:
        """Execute the commands of a file. Raises LoadError for unknown commands."""
        # Commands that the broker generated, such as the DEL of an expired key, have their original names in the file.
        originals = CommandTable() if self._config.renamed_commands else self._commands
        replayer = Replayer(self._commands, originals, self._host, self._log, self._stats, path, self._keyspace.release)
        return replayer.steps(reader)

    def _open(self, checksum: int) -> None:
        """Let the journal continue at the end of the last increment, creating the files that are missing."""
        folder = self._folder
        manifest = folder.manifest
        if not manifest:
            config = self._config
            if self._disk.size(os.path.join(config.dir, config.dbfilename)) is not None:
                self._log.warning(
                    "appendonly is on but there is no append-only file: the broker starts empty although there is an"
                    " RDB file. To load its keys, start with appendonly no, and then switch it on with CONFIG SET",
                    file=config.dbfilename,
                )
            temporary = TEMPORARY + "first-base"
            folder.write_base(temporary, lambda keys: None)
            folder.install(temporary, 0, None)
            manifest = folder.manifest
        folder.remove_history()
        manifest = folder.manifest
        if manifest.increments:
            last = manifest.increments[-1]
            self._stream.resume(last.end_offset or last.start_offset or 0)
        size = folder.size()  # asked for before a file is open, which a failure would leave open
        if not manifest.increments:
            file = folder.add_increment()
            checksum = 0
        else:
            if manifest.reopened() != manifest:
                folder.put_manifest(manifest.reopened())
            file = self._disk.append(folder.file(manifest.increments[-1].name))
        self._journal.open(file, size, checksum)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from examining what is being loaded, then and later."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            exempt_loaded()
            gc.enable()


def _unusable(path: str, reason: object) -> LoadError:
    return LoadError(
        f"Fatal error loading the DB: {path}: {reason}. The file can't be loaded; nothing was changed in it"
    )


class _CutOff(Exception):
    """A file was truncated before commands that had been executed: everything must be loaded again."""


class _File:
    """A file of the append-only folder; `last` if no non-empty one follows. `checksum`: see CommandReader."""

    def __init__(self, path: str, size: int, last: bool) -> None:
        self.path = path
        self.size = size
        self.last = last
        self.checksum = 0


@contextlib.contextmanager
def _opened(disk: Disk, path: str) -> Iterator[Source]:
    source = disk.open_source(path)
    try:
        yield source
    finally:
        source.close()
