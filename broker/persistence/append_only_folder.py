"""The append-only file's folder: a base, the increments after it, and the manifest that names them in order.

Except for temporary files, no file with data is ever in the folder without being named by the manifest. If such a file
is found, its manifest was lost, truncated or replaced by an older one, and neither data nor manifest is touched.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from broker.formats.aof.base_commands import save_commands
from broker.formats.aof.manifest import HISTORY, MANIFEST_SUFFIX, BadManifest, Manifest, is_increment, parse
from broker.formats.aof.writing import sealed
from broker.formats.rdb.file_saving import save_rdb
from broker.persistence.delays import delayed
from broker.persistence.environment import NoStream
from broker.persistence.files import TEMPORARY, Write, fill, read_all
from broker.persistence.files import replace as replace_file
from broker.persistence.saving import SYNC_EVERY

if TYPE_CHECKING:
    from broker.config import Config
    from broker.keyspace.keyspace import Keyspace
    from broker.persistence.background import Progress
    from broker.persistence.environment import FunctionLibraries, Stream
    from broker.persistence.files import Disk, Output

NOTHING_YET: Final = b"# the first files are being put in place\n"
"""The contents of the manifest file until it names the first files."""

PUT_RIGHT: Final = "Put the manifest right that belongs to these files, or move away what is superfluous"


class AppendOnlyFolder:
    """The location of the files, and the manifest as it is on the disk.

    A change of `dir` takes effect when the files are next started from scratch, not while one of them is being written.
    """

    def __init__(
        self, config: Config, keyspace: Keyspace, functions: FunctionLibraries, disk: Disk, stream: Stream | None = None
    ) -> None:
        self._config = config
        self._stream = stream or NoStream()
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
        manifest = self.manifest.with_new_increment(
            self._config.appendfilename, self._stream.offset, beside=self._names()
        )
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
            manifest = manifest.with_new_increment(config.appendfilename, self._stream.offset, beside=beside)
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

    def close(self) -> None:
        """Note how long the stream is, of which no more follows in these files. Raises OSError."""
        if self.manifest.increments:
            self.put_manifest(self.manifest.closed(self._stream.offset))

    def remove_history(self) -> None:
        """Remove the history files, and then their names from the manifest."""
        if not self.manifest.history:
            return
        for entry in self.manifest.history:
            with contextlib.suppress(FileNotFoundError):
                self.disk.remove(self.file(entry.name))
        self.disk.sync_folder(self.path)
        self.put_manifest(self.manifest.without_history())

    def discard(self) -> None:
        """Remove all files, while none of them is open. Raises OSError; what is left is no obstacle then."""
        if self.manifest:
            # With this manifest, files that it doesn't name are taken for what a crash has left.
            replace_file(self.disk, self.manifest_path, NOTHING_YET)
        names = [entry.name for entry in (*self.manifest.files(), *self.manifest.history)]
        self.manifest = Manifest()
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self.disk.remove(self.file(name))
        self.disk.sync_folder(self.path)
        with contextlib.suppress(FileNotFoundError):
            self.disk.remove(self.manifest_path)

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
