"""The house rules that a test can hold: imports run one way, and every source file has a test."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("protocol", "broker", "consumers", "tests")

# Modules of broker/ that stand between the values and the commands: they know nothing of commands.
NEIGHBOURS = (
    "access", "arguments", "blocking", "clock", "deadlines", "events", "expiry", "globbing", "keyspace", "propagation",
    "pubsub",
    "registry", "session", "stats",
)  # fmt: skip

# What a module may not import, by the beginning of its name. A dotted name stands for itself and all below it.
FORBIDDEN = {
    "protocol": ("broker", "consumers", "tests"),
    "broker": ("consumers", "tests"),
    "broker.values": (
        "broker.clients.session", "broker.keyspace.keyspace", "broker.commands", "broker.process.clock", "broker.broker", "broker.server",
        "broker.execution.dispatcher", "broker.network.tick",
    ),
    **{f"broker.{name}": ("broker.commands", "broker.execution.dispatcher", "broker.network.tick", "broker.server") for name in NEIGHBOURS},
    "broker.commands": ("broker.network.tick", "broker.server", "broker.cli"),
    "broker.execution.dispatcher": ("broker.network.tick", "broker.server", "broker.cli"),
    "broker.network.tick": ("broker.commands", "broker.server", "broker.cli"),
    "consumers": ("broker", "protocol", "tests"),
}  # fmt: skip

# Source files that another test file covers, with that file.
TESTED_BY = {
    "broker/__init__.py": "tests/broker/test_server.py",
    "broker/__main__.py": "tests/broker/test_cli.py",
    "broker/commands/__init__.py": "tests/broker/table/test_command.py",
    "broker/commands/page.py": "tests/docs/test_commands_page.py",
    "broker/broker.py": "tests/broker/execution/test_dispatcher.py",
    "broker/network/listeners.py": "tests/broker/test_server.py",
    "broker/process/poller.py": "tests/broker/network/test_tick.py",
    "consumers/delivery.py": "tests/consumers/streams/test_consumer.py",
    "consumers/engine.py": "tests/consumers/streams/test_consumer.py",
    "consumers/fetching.py": "tests/consumers/streams/test_consumer.py",
    "consumers/streams/message.py": "tests/consumers/streams/test_consumer.py",
    "consumers/fanout/links.py": "tests/consumers/test_fanout_subscription.py",
    "consumers/fanout/messages.py": "tests/consumers/test_fanout_subscription.py",
    "consumers/jobs/announcing.py": "tests/consumers/jobs/test_worker.py",
    "consumers/jobs/cancelling.py": "tests/consumers/jobs/test_queue.py",
    "consumers/jobs/limits.py": "tests/consumers/jobs/test_queue.py",
    "consumers/jobs/running.py": "tests/consumers/jobs/test_worker.py",
    "consumers/jobs/dead.py": "tests/consumers/jobs/test_worker.py",
    "consumers/jobs/handles.py": "tests/consumers/jobs/test_worker.py",
    "consumers/jobs/later.py": "tests/consumers/jobs/test_queue.py",
    "consumers/jobs/names.py": "tests/consumers/jobs/test_queue.py",
    "consumers/jobs/results.py": "tests/consumers/jobs/test_worker.py",
    "consumers/lists/hand.py": "tests/consumers/lists/test_consumer.py",
    "consumers/lists/places.py": "tests/consumers/lists/test_consumer.py",
    "consumers/lists/recovery.py": "tests/consumers/lists/test_consumer.py",
}

# Files that only hold a docstring, constants or names: there is nothing to test.
WITHOUT_BEHAVIOUR = {
    "broker/version.py",
    "broker/process/collector.py",
}


def _sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _under(module: str, name: str) -> bool:
    return module == name or module.startswith(name + ".")


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements that are executed, at any depth: what stands under TYPE_CHECKING is not."""
    for statement in body:
        if isinstance(statement, ast.If) and _is_type_checking(statement.test):
            yield from _statements(statement.orelse)
            continue
        yield statement
        for field in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, field, []))
        for handler in getattr(statement, "handlers", []):
            yield from _statements(handler.body)


def imports(source: str, module: str, is_package: bool) -> set[str]:
    """The modules (and names in modules) that a source text imports when it runs, as dotted names."""
    found: set[str] = set()
    for statement in _statements(ast.parse(source).body):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            origin = statement.module or ""
            if statement.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                above = package[: len(package) - statement.level + 1]
                origin = ".".join([*above, *([origin] if origin else [])])
            found |= {f"{origin}.{alias.name}" for alias in statement.names}
    return found


def _trespasses(module: str, imported: set[str]) -> list[str]:
    return [
        f"{module} imports {name}"
        for owner, forbidden in FORBIDDEN.items()
        if _under(module, owner)
        for name in sorted(imported)
        if any(_under(name, other) for other in forbidden)
    ]


@pytest.mark.parametrize(
    "path", _sources("protocol", "broker", "consumers"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_imports_run_one_way(path: Path) -> None:
    module = _module(path)
    assert not _trespasses(module, imports(path.read_text(), module, path.name == "__init__.py"))


def test_a_trespass_is_seen() -> None:
    source = "from broker import keyspace\nif TYPE_CHECKING:\n    import broker.clients.session\n"
    assert _trespasses("broker.values.list", imports(source, "broker.values.list", False)) == [
        "broker.values.list imports broker.keyspace.keyspace"
    ]
    inside = "def f():\n    try:\n        from ..commands import lists\n    except ImportError:\n        pass\n"
    assert _trespasses("broker.keyspace.keyspace", imports(inside, "broker.keyspace.keyspace", False)) == []
    assert _trespasses("broker.values.list", imports(inside, "broker.values.list", False)) == [
        "broker.values.list imports broker.commands.lists.ends"
    ]
    assert _trespasses("protocol.replies", {"broker.clients.session"}) == [
        "protocol.replies imports broker.clients.session"
    ]
    assert _trespasses("consumers", {"broker"}) and not _trespasses("consumers", {"coredis"})


def _expected_tests(path: Path) -> list[Path]:
    """Where the tests of a source file may stand: its mirror, or one file for its whole package."""
    below = path.relative_to(ROOT)
    package = below.parent
    return [
        ROOT / "tests" / package / f"test_{below.stem.strip('_')}.py",
        ROOT / "tests" / package.parent / f"test_{package.name}_{below.stem}.py",
    ]


@pytest.mark.parametrize(
    "path", _sources("protocol", "broker", "consumers"), ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_source_file_has_a_test(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    if name in WITHOUT_BEHAVIOUR or (path.name == "__init__.py" and not _has_behaviour(path)):
        return
    if name in TESTED_BY:
        assert (ROOT / TESTED_BY[name]).exists(), f"{name} is said to be tested by {TESTED_BY[name]}"
        return
    expected = _expected_tests(path)
    assert any(test.exists() for test in expected), f"no test for {name}: {expected[0].relative_to(ROOT)} is missing"


def _has_behaviour(path: Path) -> bool:
    """Whether a file holds anything but a docstring, imports and assignments."""
    quiet = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    return any(not isinstance(statement, quiet) for statement in ast.parse(path.read_text()).body)


def test_the_exceptions_are_real_files() -> None:
    for name in [*TESTED_BY, *WITHOUT_BEHAVIOUR]:
        assert (ROOT / name).exists(), f"{name} is gone: drop it from the list"
        assert not any(test.exists() for test in _expected_tests(ROOT / name)), f"{name} has a test of its own now"
    assert all(name.split("/")[0] in OURS for name in TESTED_BY.values())
