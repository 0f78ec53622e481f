"""The append-only file's folder: a base, the increments after it, and the manifest that names them in order.

A rewrite creates a new base from the current values and drops the history that led to them. After each of its steps,
the folder loads to the same state:

1. A new, empty increment is created, and the manifest names it after the current one.
2. A child is forked between two ticks. Once the current increment is synced, the journal continues in the new one;
   until then it holds back effects, and the replies of clients that have written.
3. The child writes the values of that moment to a temporary file.
4. That file becomes the new base: the manifest names it as history (or says that nothing counts yet), it is renamed,
   and the manifest names it and the new increment, and the older files as history.
5. The history is removed, and then dropped from the manifest.

So except for temporary files, no file with data is ever in the folder without being named by the manifest. If such a
file is found, its manifest was lost, truncated or replaced by an older one, and neither data nor manifest is touched.

While the append-only file is being switched on, the new increment keeps a temporary name until step 4 and is not named
before that: an increment without a base would mean that there had been no data before it.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import trio

from broker.formats.aof.base_commands import save_commands
from broker.formats.aof.manifest import HISTORY, MANIFEST_SUFFIX, BadManifest, Manifest, is_increment, parse
from broker.formats.aof.writing import sealed
from broker.formats.rdb.file_saving import save_rdb
from broker.persistence.background import Outcome
from broker.persistence.delays import delayed
from broker.persistence.files import TEMPORARY, Write, fill, read_all
from broker.persistence.files import replace as replace_file
from broker.persistence.saving import SYNC_EVERY

if TYPE_CHECKING:
    from broker.config import Config
    from broker.keyspace.keyspace import Keyspace
    from broker.persistence.background import Background, Progress
    from broker.persistence.claims import Claims
    from broker.persistence.environment import Environment, FunctionLibraries
    from broker.persistence.files import Disk, Output
    from broker.persistence.journal import Journal

KIND: Final = "aof"

_PATIENCE: Final = 3
"""The number of rewrites that may fail before the next automatic one is delayed (as in Redis)."""

_LONGEST_DELAY: Final = 3600
"""The longest such delay, in seconds."""

NOTHING_YET: Final = b"# the first files are being put in place\n"
"""The contents of the manifest file until it names the first files."""

PUT_RIGHT: Final = "Put the manifest right that belongs to these files, or move away what is superfluous"

CANNOT_SWITCH_ON: Final = "Unable to turn on AOF. Check server logs."


class AppendOnlyFolder:
    """The location of the files, and the manifest as it is on the disk.

    A change of `dir` takes effect when the files are next started from scratch, not while one of them is being written.
    """

    def __init__(self, config: Config, keyspace: Keyspace, functions: FunctionLibraries, disk: Disk) -> None:
        self._config = config
        self._keyspace = keyspace
        self._functions = functions
        self._home: str | None = None
        self.disk = disk
        self.manifest = Manifest()

    @property
    def path(self) -> str:
        return os.path.join(self._home or self._config.dir, self._config.appenddirname)

    @property
    def manifest_path(self) -> str:
        return self.file(self._config.appendfilename + MANIFEST_SUFFIX)

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def settle(self) -> None:
        """Move to the folder that `dir` names now, while no file is open: create it, or read its manifest.

        Raises OSError and BadManifest; an unreadable manifest is never replaced.
        """
        home = self._config.dir
        if home != self._home:
            self._home = None
            self.manifest = self._read_manifest()
        self.disk.make_folder(self.path)
        self.disk.sync_folder(home)
        self._home = home

    def _read_manifest(self) -> Manifest:
        """Read the manifest, compare it with the folder, and remove empty unnamed files left by a crash."""
        filename = self._config.appendfilename
        sizes = {name: self.disk.size(self.file(name)) or 0 for name in self._names()}
        manifest = Manifest()
        unnamed = "there is no such file, and nothing else names"
        if filename + MANIFEST_SUFFIX in sizes:
            content = read_all(self.disk, self.manifest_path)
            manifest = parse(content)
            unnamed = "it doesn't name"
            if content == NOTHING_YET:
                for name in manifest.missing_from(filename, sizes):
                    self.disk.remove(self.file(name))
                    del sizes[name]
        if missing := manifest.missing_from(filename, sizes):
            files = ", ".join(f"{name} ({sizes[name]} bytes)" for name in missing)
            raise BadManifest(f"{unnamed} {files}. {PUT_RIGHT}")
        named = {entry.name for entry in (*manifest.files(), *manifest.history)}
        for name, size in sizes.items():
            if not size and name not in named and is_increment(filename, name):
                self.remove(name)
        return manifest

    def _names(self) -> list[str]:
        """The names in the folder; none if there is no folder."""
        return self.disk.names(self.path) if self.disk.is_folder(self.path) else []

    def put_manifest(self, manifest: Manifest) -> None:
        """Make this the manifest. Raises OSError.

        After an error the manifest may or may not have been replaced, so the files that only the new one names become
        history: they are neither written again nor removed before another manifest is in place.
        """
        try:
            replace_file(self.disk, self.manifest_path, manifest.sealed())
        except OSError:
            named = {entry.name for entry in (*self.manifest.files(), *self.manifest.history)}
            unsure = tuple(replace(entry, kind=HISTORY) for entry in manifest.files() if entry.name not in named)
            self.manifest = replace(self.manifest, history=unsure + self.manifest.history)
            raise
        self.manifest = manifest

    def add_increment(self) -> Output:
        """Create a new, empty increment, which the manifest names after the others."""
        manifest = self.manifest.with_new_increment(self._config.appendfilename, beside=self._names())
        file = self.disk.create_new(self.file(manifest.increments[-1].name))
        try:
            # The names must be on the disk before the manifest that relies on them.
            self.disk.sync_folder(self.path)
            self.put_manifest(manifest)
        except OSError:
            file.close()
            raise
        return file

    def write_base(self, name: str, shown: Progress) -> None:
        """Write all values to a new file of that name, and sync it, calling `shown`. Raises OSError."""
        config, keyspace, functions = self._config, self._keyspace, self._functions.sources()
        progress = delayed(shown, config)

        def content(write: Write) -> None:
            if config.aof_use_rdb_preamble:
                save_rdb(write, keyspace, config, functions=functions, aof_base=True, progress=progress)
            else:
                save_commands(
                    lambda commands: write(sealed(commands)), keyspace, config, functions=functions, progress=progress
                )

        output = self.disk.create(self.file(name))
        try:
            fill(output, content, SYNC_EVERY)
            output.sync()
        finally:
            output.close()

    def install(self, temporary: str, kept: int, increment: str | None) -> None:
        """Make a temporary file the base, followed by the last `kept` increments.

        `increment` is the temporary name of a further increment after those.
        """
        config, beside = self._config, self._names()
        manifest = self.manifest.with_new_base(config.appendfilename, config.aof_use_rdb_preamble, beside)
        manifest = manifest.without_rewritten(kept)
        assert manifest.base is not None
        new = {manifest.base: temporary}
        if increment is not None:
            manifest = manifest.with_new_increment(config.appendfilename, beside=beside)
            new[manifest.increments[-1]] = increment
        # If a crash leaves files with these names, they are history until the manifest says otherwise.
        if self.manifest:
            history = tuple(replace(entry, kind=HISTORY) for entry in new)
            self.put_manifest(replace(self.manifest, history=history + self.manifest.history))
        else:
            # redis-server can't handle a manifest with nothing but history: it gives its new files the same names.
            replace_file(self.disk, self.manifest_path, NOTHING_YET)
        for entry, name in new.items():
            self.disk.rename(self.file(name), self.file(entry.name))
        self.disk.sync_folder(self.path)
        self.put_manifest(manifest)

    def remove_history(self) -> None:
        """Remove the history files, and then their names from the manifest."""
        if not self.manifest.history:
            return
        for entry in self.manifest.history:
            with contextlib.suppress(FileNotFoundError):
                self.disk.remove(self.file(entry.name))
        self.disk.sync_folder(self.path)
        self.put_manifest(self.manifest.without_history())

    def left_behind(self, name: str) -> bool:
        """Whether a file of that name is a temporary one of an earlier broker in this folder."""
        form = rf"(?:rewriteaof-bg-[0-9]+\.aof|first-base|{re.escape(self._config.appendfilename)}\.(?:incr|manifest))"
        return re.fullmatch(TEMPORARY + form, name) is not None

    def remove(self, name: str) -> None:
        """Remove a file if it exists. Errors are ignored, because the manifest does not name it."""
        with contextlib.suppress(OSError):
            self.disk.remove(self.file(name))

    def size(self) -> int:
        """The total size in bytes of the base and the increments."""
        return sum(self.disk.size(self.file(entry.name)) or 0 for entry in self.manifest.files())

    def base_size(self) -> int:
        """The size in bytes of the base, 0 without one."""
        base = self.manifest.base
        return 0 if base is None else self.disk.size(self.file(base.name)) or 0


class Rewrites:
    """Rewrites of the append-only file: on request, because of its growth, or to switch it on.

    `scheduled` requests one as soon as a child may be forked. `base_size` is the size in bytes after the last rewrite,
    or before the first rewrite, the size of the base; `succeeded` is whether the last rewrite succeeded, and `seconds`
    how long it took (-1 before the first).
    """

    def __init__(
        self,
        environment: Environment,
        folder: AppendOnlyFolder,
        journal: Journal,
        background: Background,
        claims: Claims,
    ) -> None:
        self._config = environment.config
        self._log = environment.log
        self._folder = folder
        self._journal = journal
        self._background = background
        self._claims = claims
        self._requested = trio.Event()
        self._begin_done = trio.Event()
        self._wanted = False
        self._first = False
        self._forked = False
        self._problem: str | None = None
        self._later_than = 0.0
        self._base = f"{TEMPORARY}rewriteaof-bg-{os.getpid()}.aof"
        self._increment = f"{TEMPORARY}{self._config.appendfilename}.incr"
        self.scheduled = False
        self.base_size = 0
        self.succeeded = True
        self.failures = 0
        self.seconds = -1
        self.count = 0
        self.copied = 0

    @property
    def running(self) -> bool:
        """Whether a rewrite is in progress."""
        return self._background.kind == KIND

    def start(self) -> None:
        """Make the task begin a rewrite; there must be no child."""
        self._background.reserve(KIND)
        self.scheduled = False
        self._wanted = True
        self._requested.set()

    def is_due(self) -> bool:
        """Whether a rewrite was requested, or the file has grown enough for one."""
        if self.failures >= _PATIENCE and time.monotonic() < self._later_than:
            return False
        config, size = self._config, self._journal.size
        if self.scheduled or (config.appendonly and not self._journal.is_open):
            return True
        percentage = config.auto_aof_rewrite_percentage
        if not self._journal.is_open or not percentage or size <= config.auto_aof_rewrite_min_size:
            return False
        return size * 100 // (self.base_size or 1) - 100 >= percentage

    def switch(self, on: bool) -> None:
        """CONFIG SET appendonly: start with a rewrite, or stop. Raises ValueError if the files can't be kept."""
        if on:
            try:
                if not self._journal.is_open:
                    self._folder.settle()
            except (OSError, BadManifest) as problem:
                self._log.warning("the append-only file can't be switched on", error=str(problem))
                raise ValueError(CANNOT_SWITCH_ON) from None
            self.failures = 0
            if not self._background.active:
                self.start()
        else:
            if self.running:
                self._problem = "the append-only file is switched off"
                self._background.kill()
            self._requested.set()

    async def suspend(self) -> None:
        """End a rewrite that is running, and close the append-only file; `switch` begins another."""
        if self.running:
            self._problem = "the dataset is being replaced"
            self._background.kill()
        await self._journal.close()

    def remove_unfinished(self) -> None:
        """Remove the files of a rewrite that was in progress at shutdown; its child has been killed."""
        if self.running:
            self._folder.remove(self._base)
            if self._first:
                self._folder.remove(self._increment)

    async def run(self) -> None:
        """Begin requested rewrites, and close the journal when it is switched off, until cancelled."""
        while True:
            await self._requested.wait()
            self._requested = trio.Event()
            if self._journal.is_open and not self._config.appendonly:
                await self._journal.close()
            if self._wanted:
                self._wanted = False
                self._begin_done = trio.Event()
                try:
                    await self._begin()
                except (OSError, BadManifest) as problem:
                    self._cannot_begin(str(problem))
                self._begin_done.set()

    def _cannot_begin(self, problem: str) -> None:
        if self._forked:
            # `_done` removes the child's base: followed by the old increment, it would apply that data twice.
            self._problem = problem
            self._background.kill()
        else:
            self._background.release()
            self._failed(problem)

    async def _begin(self) -> None:
        """Perform steps 1 and 2."""
        journal, folder = self._journal, self._folder
        self.count += 1
        self._problem = None
        self._first = self._forked = False
        if journal.is_open:
            await journal.replace(folder.add_increment, self._fork)
            return
        self._claims.append_only()
        await trio.to_thread.run_sync(folder.settle)
        if not self._config.appendonly:
            self._fork()
            return
        self._first = True
        file = await trio.to_thread.run_sync(folder.disk.create, folder.file(self._increment))
        try:
            self._fork()
        except OSError:
            file.close()
            raise
        journal.provisional = True
        journal.open(file, 0)

    def _fork(self) -> None:
        self._background.start(KIND, self._write, self._done)
        self._forked = True
        self._log.notice(
            f"Background append only file rewriting started{self._background.by_pid()}",
            fork_seconds=round(self._background.fork_seconds, 3),
        )

    def _write(self, progress: Progress) -> None:
        """Perform step 3, in the child."""
        self._folder.write_base(self._base, progress)

    async def _done(self, outcome: Outcome) -> None:
        """Perform steps 4 and 5."""
        await self._begin_done.wait()
        journal, folder = self._journal, self._folder
        self.seconds = round(time.monotonic() - self._background.began)
        self.copied = outcome.copied
        problem = self._problem or outcome.problem
        if not problem:
            self._log.notice("Background AOF rewrite terminated with success")
            increment = self._increment if self._first else None
            kept = 1 if journal.is_open and not self._first else 0
            try:
                await trio.to_thread.run_sync(folder.install, self._base, kept, increment)
            except OSError as error:
                problem = str(error)
        if problem:
            folder.remove(self._base)
            if self._first:
                await journal.close()
                folder.remove(self._increment)
            self._failed(problem)
            return
        if journal.provisional:
            journal.provisional = False
            journal.progress()
        with contextlib.suppress(OSError):
            journal.size = self.base_size = await trio.to_thread.run_sync(folder.size)
        self.succeeded = True
        self.failures = 0
        self._log.notice(
            "Background AOF rewrite finished successfully",
            seconds=self.seconds,
            bytes=self.base_size,
            copied_bytes=self.copied,
        )
        try:
            await trio.to_thread.run_sync(folder.remove_history)
        except OSError as error:
            self._log.warning("history files of the append-only file could not be removed", error=str(error))

    def _failed(self, problem: str) -> None:
        self.succeeded = False
        self.failures += 1
        delay = 0
        if self.failures >= _PATIENCE:
            delay = min(60 << min(self.failures - _PATIENCE, 6), _LONGEST_DELAY)
            self._later_than = time.monotonic() + delay
        self._log.warning("Background AOF rewrite terminated with error", error=problem, not_again_for_seconds=delay)
