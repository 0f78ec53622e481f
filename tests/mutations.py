"""Finds what the tests do not notice: plants small faults in the code, one at a time, and runs that part's tests.

    make mutants                                  a sample of each part
    make mutants ARGS='pubsub effects --all'      every fault in these parts
    make mutants ARGS='blocking --seed 7 --sample 40'

A fault is one comparison changed, one number off by one, one condition negated, `and` instead of `or`, or one statement
left out. It is planted in a copy of the source tree, so the tree itself is never touched. Faults that no test notices
are printed; each survivor needs a test or an explanation in EXPLAINED. Exit status 1: some have neither.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

SECONDS = 120
"""A test run that takes longer than this hangs because of the fault, and so has noticed it."""

PARTS: dict[str, tuple[list[str], list[str]]] = {
    "pubsub": (
        ["broker/clients/pubsub.py", "broker/commands/clients/pubsub.py"],
        ["tests/broker/clients/test_pubsub.py", "tests/broker/commands/clients/test_pubsub.py"],
    ),
    "effects": (["broker/keyspace/effects.py"], ["tests/broker/keyspace/test_effects.py"]),
    "dispatch": (
        ["broker/execution/dispatcher.py", "broker/execution/executor.py"],
        ["tests/broker/execution", "tests/broker/commands/clients", "tests/broker/network/test_tick.py"],
    ),
    "blocking": (
        ["broker/clients/blocking.py"],
        ["tests/broker/clients/test_blocking.py", "tests/broker/commands/lists"],
    ),
    "streams": (
        ["broker/values/streams/group.py", "broker/values/streams/pending.py", "broker/values/streams/trim.py"],
        ["tests/broker/values/streams", "tests/broker/commands/streams"],
    ),
    "persistence": (
        ["broker/persistence/journal.py", "broker/formats/aof/manifest.py"],
        [f"tests/broker/persistence/test_{name}.py" for name in ("journal", "journal_faults", "held_replies")]
        + ["tests/broker/formats/aof/test_manifest.py"],
    ),
}  # fmt: skip
"""The parts: their sources, and the tests that must notice faults."""

EXPLAINED: dict[str, str] = {}
"""Survivors that do not change behaviour, by `Fault.name`, with the reason."""

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
        yield "set instead of added", lambda n: ast.Assign([n.target], n.value)  # type: ignore[attr-defined]
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "left out", lambda n: ast.Pass()


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
    """Copy the sources and tests, including compiled twins, so that faults can be planted in the copy."""
    there = Path(folder) / "tree"
    there.mkdir()
    for name in ("protocol", "broker", "consumers", "tests"):
        shutil.copytree(ROOT / name, there / name, ignore=shutil.ignore_patterns("__pycache__", "*.c"))
    shutil.copy(ROOT / "pyproject.toml", there)
    return there


def passes(tree: Path, tests: list[str]) -> bool:
    """Whether these tests pass in the copy."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", *tests]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        ended = subprocess.run(command, cwd=tree, env=environment, capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def survivors(part: str, chosen: list[Fault], tests: list[str]) -> list[Fault]:
    """Return the faults that no test notices."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        tree = copied_tree(folder)
        if not passes(tree, tests):
            raise SystemExit(f"{part}: its tests fail even without a fault")
        for number, fault in enumerate(chosen, 1):
            file = tree / fault.path
            whole = file.read_text()
            file.write_text(fault.apply())
            noticed = not passes(tree, tests)
            file.write_text(whole)
            if not noticed:
                found.append(fault)
            print(f"{part} {number}/{len(chosen)} {'noticed' if noticed else 'SURVIVED'}: {fault.name}", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help=f"any of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--sample", type=int, default=25, help="faults to try per part (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="try all of them")
    parser.add_argument("--seed", type=int, default=1, help="selects the sample (default: %(default)s)")
    options = parser.parse_args()
    left = []
    for part in options.parts or PARTS:
        sources, tests = PARTS[part]
        possible = [fault for path in sources for fault in faults(path)]
        size = len(possible) if options.all else min(options.sample, len(possible))
        left += survivors(part, random.Random(options.seed).sample(possible, size), tests)
    unexplained = [fault for fault in left if fault.name not in EXPLAINED]
    print(f"{len(left)} survived, {len(unexplained)} of them unexplained")
    for fault in unexplained:
        print(f"  {fault.path}:{fault.line}: {fault.name.partition(': ')[2]}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
