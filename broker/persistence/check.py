"""`trimaran check`: whether files can be loaded, what is in them, and where the first bad byte is.

It reads what a server would read, with the same code, and loads nothing. In an append-only folder it follows the
manifest; other folders are checked file by file. With `--fix`, an append-only file is truncated before the damage,
provided that nothing is loaded after it; a copy of the whole file is kept next to it. A damaged RDB file can't be
repaired.
"""

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from broker.formats.aof.manifest import (
    AOF_SUFFIX,
    BASE_SUFFIX,
    INCREMENT_SUFFIX,
    MANIFEST_SUFFIX,
    RDB_SUFFIX,
    BadManifest,
    parse,
)
from broker.formats.aof.reading import CommandReader, Damaged, Truncated
from broker.formats.rdb.file_loading import load_rdb
from broker.formats.rdb.format import MAGIC, VALKEY_MAGIC
from broker.formats.rdb.reader import BadFormat, Reader
from broker.persistence.claims import LOCK_SUFFIX
from broker.persistence.files import TEMPORARY, Disk, read_all
from broker.process.suggesting import mistake
from broker.table.command import CommandTable
from broker.values.streams.limits import DefaultStreamLimits

USAGE: Final = """\
usage: trimaran check [--fix [-y]] FILE|FOLDER ...

Check whether append-only files, their manifests and folders, and RDB files are intact, and report what is in them.
The exit status is 0 if everything is intact, 1 if something is not, and 2 if there is nothing to check.

  --fix   truncate an append-only file before the damage; asks first, and keeps a copy
  -y      don't ask

While a broker is writing to a file, its end may look truncated.
"""

COPY_SUFFIX: Final = ".before-fix"
_NAMES_SHOWN: Final = 20
_NAME_LENGTH: Final = 32


@dataclass
class Report:
    """The result of checking one file.

    `problem` says what is wrong with it ("" if nothing is), and `offset` where. `whole` is the offset at which the file
    can be truncated, None if that wouldn't help. `facts` are lines about its contents.
    """

    path: str
    size: int = 0
    problem: str = ""
    offset: int | None = None
    whole: int | None = None
    facts: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The report as text."""
        if not self.problem:
            yield f"{self.path}: ok, {self.size} bytes"
        elif self.offset is None:
            yield f"{self.path}: BAD: {self.problem}"
        else:
            yield f"{self.path}: BAD: {self.problem} at byte {self.offset} of {self.size}"
            if self.whole is not None:
                yield f"  good up to byte {self.whole}; {self.size - self.whole} bytes after that"
        yield from (f"  {fact}" for fact in self.facts)


class _Contents:
    """A target for `load_rdb` that only counts."""

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self.functions = 0
        self.deadlines = 0
        self.facts: dict[bytes, bytes] = {}
        self._keys: dict[int, set[bytes]] = {}
        self._present = self._keys.setdefault(0, set())

    def aux(self, name: bytes, value: bytes) -> None:
        self.facts[name] = value

    def function(self, source: bytes) -> None:
        self.functions += 1

    def select(self, index: int) -> bool:
        self._present = self._keys.setdefault(index, set())
        return True

    def put(self, key: bytes, value: object, deadline: int | None, idle: int | None, frequency: int | None) -> bool:
        if key in self._present:
            return False
        self._present.add(key)
        self.types[getattr(value, "type_name", "string")] += 1
        self.deadlines += deadline is not None
        return True

    def put_strings(self, values: dict[bytes, bytes], deadlines: dict[bytes, int]) -> bool:
        before = len(self._present)
        self._present.update(values)
        self.types["string"] += len(values)
        self.deadlines += len(deadlines)
        return len(self._present) == before + len(values)

    def drop(self, value: object) -> None:
        pass

    def lines(self) -> Iterator[str]:
        yield f"keys: {_listed(self.types)}"
        used = sorted(index for index, keys in self._keys.items() if keys)
        if used and used != [0]:
            yield f"databases: {', '.join(map(str, used))}"
        if self.deadlines:
            yield f"keys with a deadline: {self.deadlines}"
        if self.functions:
            yield f"libraries of functions: {self.functions}"
        if b"redis-ver" in self.facts:
            yield f"written by version {_shown(self.facts[b'redis-ver'])}"


def _listed(counts: Counter[str]) -> str:
    """The sum of the counts, then each of them, highest first."""
    if not counts:
        return "0"
    parts = [f"{count} {name}" for name, count in counts.most_common(_NAMES_SHOWN)]
    if len(counts) > _NAMES_SHOWN:
        parts.append(f"and {len(counts) - _NAMES_SHOWN} more kinds")
    return f"{counts.total()} ({', '.join(parts)})"


def _shown(name: bytes) -> str:
    """Bytes from a file, made safe for a terminal."""
    return name[:_NAME_LENGTH].decode("ascii", "backslashreplace").encode("unicode_escape").decode()


def _is_part(name: str) -> bool:
    """Whether a file of that name belongs to an append-only folder."""
    return name.endswith(MANIFEST_SUFFIX) or BASE_SUFFIX in name or INCREMENT_SUFFIX in name


class Checker:
    """Checks files of one disk. `commands` are those that a broker knows; it would refuse to load any others."""

    def __init__(self, disk: Disk, commands: CommandTable) -> None:
        self._disk = disk
        self._commands = commands

    def check(self, path: str) -> list[Report]:
        """The reports on a file, or on everything in a folder; none if the folder has nothing to check."""
        if self._disk.is_folder(path):
            return self._folder(path)
        if path.endswith(MANIFEST_SUFFIX):
            return self._manifest(path)
        return [self.file(path)]

    def _folder(self, path: str) -> list[Report]:
        """Check a folder with a manifest and its files, or one that contains such folders and an RDB file."""
        names = sorted(self._disk.names(path))
        names = [name for name in names if not name.startswith(TEMPORARY)]
        manifests = [name for name in names if name.endswith(MANIFEST_SUFFIX)]
        reports = [report for name in manifests for report in self._manifest(os.path.join(path, name))]
        seen = {report.path for report in reports}
        for name in names:
            inner = os.path.join(path, name)
            if self._disk.is_folder(inner):
                if any(map(_is_part, self._disk.names(inner))):
                    reports += self._folder(inner)
            elif name.endswith((RDB_SUFFIX, AOF_SUFFIX)) and inner not in seen:
                reports.append(self.file(inner))
                if manifests or _is_part(name):
                    reports[-1].facts.append("no manifest names it: a server does not load it")
        return reports

    def _manifest(self, path: str) -> list[Report]:
        """Check a manifest and the files it names. Only the file that is loaded last may be truncated."""
        report = Report(path, self._disk.size(path) or 0)
        try:
            manifest = parse(read_all(self._disk, path))
        except OSError as problem:
            report.problem = str(problem.strerror)
            return [report]
        except BadManifest as problem:
            report.problem = str(problem)
            return [report]
        report.facts.append(
            f"base: {1 if manifest.base else 0}, increments: {len(manifest.increments)},"
            f" superfluous files: {len(manifest.history)}"
        )
        folder, name = os.path.split(path)
        sizes = {beside: self._disk.size(os.path.join(folder, beside)) or 0 for beside in self._disk.names(folder)}
        if missing := manifest.missing_from(name.removesuffix(MANIFEST_SUFFIX), sizes):
            report.problem = f"it doesn't name {', '.join(missing)}"
        reports = [self.file(os.path.join(folder, entry.name)) for entry in manifest.files()]
        filled = [found for found in reports if found.size]
        for found in filled[:-1]:
            found.whole = None
        return [report, *reports]

    def file(self, path: str) -> Report:
        """Check one RDB file or append-only file; the contents determine which it is."""
        report = Report(path)
        try:
            source = self._disk.open_source(path)
        except OSError as problem:
            report.problem = str(problem.strerror)
            return report
        try:
            report.size = source.size
            begin = source.read(len(VALKEY_MAGIC))
            reader = Reader(begin, source=source.read, size=report.size)
            # The name counts too: a damaged RDB file should not be mistaken for commands and truncated to nothing.
            is_dump = begin.startswith((MAGIC, VALKEY_MAGIC)) or path.endswith(RDB_SUFFIX)
            if not is_dump or self._dump(reader, report):
                self._commands_of(CommandReader(reader.read, report.size, reader.offset), report)
        except OSError as problem:
            report.problem = str(problem.strerror)
        finally:
            source.close()
        return report

    def _dump(self, reader: Reader, report: Report) -> bool:
        """Check an RDB file, or the one that an append-only file begins with; returns whether to check the rest."""
        contents = _Contents()
        steps = load_rdb(reader, contents, DefaultStreamLimits(), now=None)
        try:
            while True:
                next(steps)
        except StopIteration as done:
            checked = "its checksum is right" if done.value.checked else "without a checksum"
            report.facts.append(f"RDB version {done.value.version}, {checked}")
        except BadFormat as problem:
            report.problem, report.offset = problem.reason, problem.offset
        report.facts += contents.lines()
        return not report.problem and reader.offset < report.size

    def _commands_of(self, commands: CommandReader, report: Report) -> None:
        """Check the commands in an append-only file."""
        counts: Counter[bytes] = Counter()
        before = commands.offset
        try:
            for end, words in commands:
                name = words[0].upper()
                if name not in counts and self._commands.find(words) is None:
                    report.problem, report.offset = f"unknown command '{_shown(words[0])}'", before
                    break
                counts[name] += 1
                before = end
        except Truncated as problem:
            report.problem, report.offset = "cut short", report.size
            report.whole = problem.offset
        except Damaged as problem:
            report.problem, report.offset = problem.reason, problem.offset
            # If nothing would be left, it may not be an append-only file at all.
            report.whole = problem.whole or None
        shown = Counter({_shown(name): count for name, count in counts.items()})
        report.facts.append(f"commands: {_listed(shown)}")
        if commands.checksums:
            report.facts.append(f"checksums: {commands.checksums}, the last before byte {commands.verified}")
        if report.size > commands.verified and not report.problem:
            report.facts.append(f"bytes without a checksum: {report.size - commands.verified}")
        if commands.seconds:
            report.facts.append(f"written until {datetime.fromtimestamp(commands.seconds, UTC):%Y-%m-%d %H:%M:%S} UTC")


class _Fixing:
    """Truncates files, after asking."""

    def __init__(self, disk: Disk, ask: Callable[[str], bool], tell: Callable[[str], None]) -> None:
        self._disk = disk
        self._ask = ask
        self._tell = tell

    def fix(self, report: Report) -> bool:
        """Truncate the file; returns whether that was done. Raises OSError."""
        path, whole = report.path, report.whole
        if whole is None:
            self._tell(f"{path}: can't be repaired by cutting off its end")
            return False
        if self._is_in_use(os.path.dirname(path)):
            self._tell(f"{path}: a broker is running on this folder; stop it first")
            return False
        if self._disk.link_count(path) > 1:
            self._tell(
                f"{path}: has another name, in an append-only folder or a backup, and would be cut off there as well;"
                " repair a copy of the folder instead"
            )
            return False
        copy = self._free_name(path)
        self._tell(f"{path}: the last {report.size - whole} bytes will be cut off; a copy is kept as {copy}")
        if not self._ask("Go on? [y/N] "):
            return False
        try:
            self._disk.copy(path, copy)
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.remove(copy)
            raise
        self._disk.sync_folder(os.path.dirname(path))
        self._disk.truncate(path, whole)
        return True

    def _is_in_use(self, folder: str) -> bool:
        """Whether a broker has locked this folder."""
        path = (folder.rstrip("/") or os.getcwd()) + LOCK_SUFFIX
        # Check that the file exists first, because taking the lock would create it.
        if self._disk.size(path) is None:
            return False
        lock = self._disk.lock(path)
        if lock is not None:
            lock.release()
        return lock is None

    def _free_name(self, path: str) -> str:
        name, number = path + COPY_SUFFIX, 1
        while self._disk.size(name) is not None:
            number += 1
            name = f"{path}{COPY_SUFFIX}-{number}"
        return name


def run(
    words: Sequence[str],
    disk: Disk,
    commands: Callable[[], CommandTable],
    ask: Callable[[str], bool],
    tell: Callable[[str], None],
) -> int:
    """Run the command with these arguments and return its exit status.

    `commands` returns the table that commands in files are looked up in; `tell` prints a line for the user, and `ask`
    asks a yes/no question.
    """
    options = {word for word in words if word.startswith("-")}
    paths = [word for word in words if not word.startswith("-")]
    if "--help" in options or "-h" in options:
        tell(USAGE)
        return 0
    if unknown := sorted(options - {"--fix", "-y"}):
        return mistake("check", f"unknown option {unknown[0]!r}")
    if not paths:
        return mistake("check", "a FILE or a FOLDER is missing")
    checker = Checker(disk, commands())
    fixing = _Fixing(disk, (lambda _: True) if "-y" in options else ask, tell)
    status = 0
    for path in paths:
        try:
            status = max(status, _check_path(checker, fixing if "--fix" in options else None, path, tell))
        except OSError as problem:
            tell(f"{problem.filename or path}: {problem.strerror}")
            status = max(status, 1)
    return status


def _check_path(checker: Checker, fixing: _Fixing | None, path: str, tell: Callable[[str], None]) -> int:
    reports = checker.check(path)
    if not reports:
        tell(f"{path}: no append-only file and no RDB file is here")
        return 2
    status = 0
    for report in reports:
        for line in report.lines():
            tell(line)
        if report.problem:
            status = 1
    bad = [report for report in reports if report.problem]
    if not bad or fixing is None:
        return status
    fixed = [fixing.fix(report) for report in bad]
    if not any(fixed):
        return status
    return _check_path(checker, None, path, tell)
