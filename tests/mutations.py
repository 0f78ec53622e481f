"""Finds what the tests do not notice: plants small faults in the code, one at a time, and runs that part's tests.

    make mutants                                  a sample of each part
    make mutants ARGS='pubsub effects --all'      every fault in these parts
    make mutants ARGS='blocking --seed 7 --sample 40'

A fault is one comparison turned round, one number off by one, one condition negated, one `and` for an `or`, one
statement left out. It is put into a copy of the source tree, so the tree itself is never touched. Those that no test
notices are printed; a survivor is either given a test or explained in EXPLAINED. Exit status 1: some are neither.

The tests of each fault run in a fork of this process, which has imported the libraries that they need: with a second
or two saved on each, a part takes minutes.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis.strategies
import pytest
import trio.testing

_IMPORTED_FOR_THE_TESTS = (hypothesis, trio)

ROOT = Path(__file__).resolve().parents[1]

_STREAM_ORACLES = ("arguments", "blocking", "claim", "consume", "events", "groups", "info", "read", "write")

SECONDS = 20
"""A run of tests that takes longer than this, and five times what it takes without a fault, hangs on the fault, and so
has noticed it."""

PASSED = 77


@dataclass(frozen=True)
class Part:
    """Sources, as globs, and the tests that must notice their faults.

    A file's own tests (its mirror) come first, then `tests`, then `slower`: each only where those before have noticed
    nothing.
    """

    sources: tuple[str, ...]
    tests: tuple[str, ...]
    slower: tuple[str, ...] = ()

    def files(self) -> list[str]:
        """The sources, as paths."""
        found = [path for glob in self.sources for path in sorted(ROOT.glob(glob))]
        return [str(path.relative_to(ROOT)) for path in found]

    def rounds(self, source: str) -> list[tuple[str, ...]]:
        """The tests for a fault of one source, in the order in which they are tried."""
        path = Path(source)
        mirror = str(Path("tests", path.parent, f"test_{path.name}"))
        own = (mirror,) if (ROOT / mirror).exists() else ()
        return [tests for tests in (own, self.tests, self.slower) if tests]


PARTS: dict[str, Part] = {
    "pubsub": Part(
        ("broker/clients/pubsub.py", "broker/commands/clients/pubsub.py"),
        ("tests/broker/clients/test_pubsub.py", "tests/broker/commands/clients/test_pubsub.py"),
        ("tests/oracle/test_pubsub.py",),
    ),
    "blocking": Part(
        ("broker/clients/blocking.py", "broker/commands/lists/pops.py", "broker/commands/lists/moves.py"),
        ("tests/broker/execution/test_executor.py", "tests/broker/commands/lists", "tests/broker/test_server.py"),
        ("tests/broker/persistence/test_persistence.py", "tests/oracle/test_list_blocking.py",
         "tests/oracle/test_stream_blocking.py", "tests/oracle/test_waiting.py"),
    ),
    "effects": Part(
        ("broker/keyspace/effects.py",),
        ("tests/broker/keyspace/test_effects.py", "tests/broker/execution"),
        ("tests/broker/commands/scripts", "tests/broker/persistence/test_effects_rebuild.py"),
    ),
    "dispatch": Part(
        ("broker/execution/*.py",),
        ("tests/broker/execution", "tests/broker/commands/clients"),
        ("tests/broker/network", "tests/broker/clients", "tests/broker/keyspace", "tests/broker/commands/scripts",
         "tests/oracle/test_client.py", "tests/oracle/test_transactions.py", "tests/oracle/test_notifications.py"),
    ),
    "persistence": Part(
        ("broker/persistence/*.py", "broker/formats/aof/*.py"),
        ("tests/broker/persistence/test_journal.py", "tests/broker/persistence/test_persistence.py",
         "tests/broker/persistence/test_rewriting.py", "tests/broker/persistence/test_recovery.py"),
        ("tests/broker/persistence", "tests/broker/formats/aof"),
    ),
    "streams": Part(
        ("broker/values/streams/*.py", "broker/commands/streams/*.py"),
        ("tests/broker/values/streams", "tests/broker/commands/streams"),
        tuple(f"tests/oracle/test_stream_{name}.py" for name in _STREAM_ORACLES),
    ),
}  # fmt: skip
"""The parts that can be tried."""

_ONLY_SLOWER = "the general way does the same, slower"

_EXPLAINED = [
    (
        "broker/clients/blocking.py",
        "if wait is None or type(value) is not wait.value_type:",
        "Is to IsNot",
        _ONLY_SLOWER,
    ),
    (
        "broker/clients/pubsub.py",
        "if len(channels) < len(names) and not any(channel.startswith(prefix) for channel in channels):",
        "Lt to LtE",
        "either way of looking finds the same",
    ),
    (
        "broker/clients/pubsub.py",
        "literal = _SPECIAL.split(pattern, 1)[0]",
        "1 to 2",
        "only the first piece is taken",
    ),
    (
        "broker/commands/streams/read.py",
        '_DEFAULTS: Final = {"COUNT": 0, "MAXCOUNT": 0, "MAXSIZE": 0, "BLOCK": -1}',
        "1 to 2",
        "any number below 0 stands for none",
    ),
    (
        "broker/commands/streams/write.py",
        "if options.producer is not None and options.iid is not None:",
        "And to Or",
        "by then there are both or none",
    ),
    (
        "broker/persistence/recovery.py",
        "folder.install(temporary, 0, None)",
        "0 to 1",
        "there is no increment yet that could be kept",
    ),
    ("broker/persistence/replaying.py", "self._refused = 0", "0 to 1", "it counts only what is logged"),
    (
        "broker/values/streams/stream.py",
        "elif head >= 64 and head * 2 >= len(self._nodes):",
        "GtE to Gt",
        "places of nodes that are gone are cleared away one node later",
    ),
    ("broker/values/streams/stream.py", "if 0 <= delta | step < 128:", "0 to 1", _ONLY_SLOWER),
    ("broker/persistence/journal.py", "self._gathers_until = now + (now - self._sync_began) / 2", "left out",
     "it decides only which writes share a sync"),
]  # fmt: skip

EXPLAINED: dict[str, str] = {f"{path}: {line}: {what}": reason for path, line, what, reason in _EXPLAINED}
"""Survivors that are no fault, by `Fault.name`, with the reason."""

_OTHER_COMPARISON: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip


@dataclass
class Fault:
    """One change to one file: `apply` returns the changed source."""

    path: str
    line: int
    what: str
    apply: Callable[[], str]

    @property
    def name(self) -> str:
        """Its name in EXPLAINED; line numbers change too often to be part of it."""
        text = (ROOT / self.path).read_text().splitlines()[self.line - 1].strip()
        return f"{self.path}: {text}: {self.what}"


def faults(path: str) -> Iterator[Fault]:
    """All faults that can be planted in a file."""
    source = (ROOT / path).read_text()
    for index, node in enumerate(ast.walk(ast.parse(source))):
        for what, change in _changes(node):

            def apply(index: int = index, change: Callable[[ast.AST], ast.AST | None] = change) -> str:
                tree = ast.parse(source)
                target = list(ast.walk(tree))[index]
                _replace(tree, target, change(target))
                return ast.unparse(ast.fix_missing_locations(tree))

            yield Fault(path, node.lineno, what, apply)  # type: ignore[attr-defined]  # all of these have a line


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[ast.AST], ast.AST | None]]]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _OTHER_COMPARISON:
        other = _OTHER_COMPARISON[type(node.ops[0])]
        yield f"{type(node.ops[0]).__name__} to {other.__name__}", _with(ops=lambda n: [other(), *n.ops[1:]])
    elif isinstance(node, ast.BoolOp):
        flipped = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"{type(node.op).__name__} to {flipped.__name__}", _with(op=lambda n: flipped())
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield "condition negated", _with(test=lambda n: ast.UnaryOp(ast.Not(), n.test))
    elif isinstance(node, ast.Constant) and type(node.value) is int and node.value < 1 << 20:
        yield f"{node.value} to {node.value + 1}", _with(value=lambda n: n.value + 1)
    elif isinstance(node, ast.AugAssign):
        yield "left out", lambda n: ast.Pass()
        yield "set in place of added", lambda n: ast.Assign([n.target], n.value)  # type: ignore[attr-defined]
    elif _is_left_out(node):
        yield "left out", lambda n: ast.Pass()


def _is_left_out(node: ast.AST) -> bool:
    """Whether a statement does something that can be left out, without its names being missed at once.

    What is only logged stays: not every line of the log is tested.
    """
    if isinstance(node, ast.Assign):
        return not isinstance(node.targets[0], ast.Name | ast.Tuple)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return re.match(r"(self\.)?_?log\.", ast.unparse(node.value)) is None
    return isinstance(node, ast.Delete | ast.Raise)


def _with(**fields: Callable[[ast.AST], object]) -> Callable[[ast.AST], ast.AST]:
    def change(node: ast.AST) -> ast.AST:
        for name, value in fields.items():
            setattr(node, name, value(node))
        return node

    return change


def _replace(tree: ast.AST, target: ast.AST, by: ast.AST | None) -> None:
    if by is target:
        return

    class Replacer(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST | None:
            return by if node is target else self.generic_visit(node)

    Replacer().visit(tree)


def copied_tree(folder: str) -> Path:
    """Copy the sources and tests, including compiled twins, so that faults can be planted in the copy.

    Modules compiled from their own source stay behind: they would run instead of the fault.
    """

    def left_out(folder: str, names: list[str]) -> set[str]:
        compiled = {name for name in names if name.endswith(".so") and f"{name.partition('.')[0]}.py" in names}
        return compiled | {name for name in names if name == "__pycache__" or name.endswith(".c")}

    there = Path(folder) / "tree"
    there.mkdir()
    for name in ("protocol", "broker", "consumers", "tests"):
        shutil.copytree(ROOT / name, there / name, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", there)
    return there


def passes(tree: Path, tests: tuple[str, ...], seconds: float, *, keep_bytecode: bool = False) -> bool:
    """Whether these tests pass in the copy, within so many seconds.

    Bytecode is kept of the sources without a fault only. A file with one has been written since, so that what is kept
    of it does not count.
    """

    def run() -> None:
        os.setsid()
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.path.insert(0, str(tree))
        sys.dont_write_bytecode = not keep_bytecode
        with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
            status = pytest.main(["-x", "-q", "-W", "ignore::pytest.PytestAssertRewriteWarning", *tests])
        # Also a fault may end the process, and without a failure: only this status tells that the tests have passed.
        sys.exit(PASSED if status == 0 else 1)

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid or 0, signal.SIGKILL)  # the servers that tests have started, too
    child.join()
    return child.exitcode == PASSED


def survivors(name: str, chosen: list[Fault], part: Part) -> list[Fault]:
    """Those of the faults that no test notices."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        tree = copied_tree(folder)
        seconds = {}
        for tests in {tests: None for fault in chosen for tests in part.rounds(fault.path)}:
            began = time.monotonic()
            if not passes(tree, tests, 3600, keep_bytecode=True):
                raise SystemExit(f"{name}: these fail without any fault: {' '.join(tests)}")
            seconds[tests] = SECONDS + 5 * (time.monotonic() - began)
        for number, fault in enumerate(chosen, 1):
            file = tree / fault.path
            whole, stat = file.read_text(), file.stat()
            file.write_text(fault.apply())
            noticed = not all(passes(tree, tests, seconds[tests]) for tests in part.rounds(fault.path))
            file.write_text(whole)
            os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # its bytecode counts again
            if not noticed:
                found.append(fault)
            print(f"{name} {number}/{len(chosen)} {'noticed' if noticed else 'SURVIVED'}: {fault.name}", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help=f"any of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--sample", type=int, default=25, help="faults to try per part (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="try all of them")
    parser.add_argument("--seed", type=int, default=1, help="selects the sample (default: %(default)s)")
    options = parser.parse_args()
    left = []
    for name in options.parts or PARTS:
        part = PARTS[name]
        possible = [fault for path in part.files() for fault in faults(path)]
        size = len(possible) if options.all else min(options.sample, len(possible))
        left += survivors(name, random.Random(options.seed).sample(possible, size), part)
    unexplained = [fault for fault in left if fault.name not in EXPLAINED]
    print(f"{len(left)} survived, {len(unexplained)} of them unexplained")
    for fault in unexplained:
        print(f"  {fault.path}:{fault.line}: {fault.name.partition(': ')[2]}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
