"""The house rules that a test can enforce: imports run downwards, every source file has a test, and none is long."""

import ast
import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = ("protocol", "broker", "consumers", "tests")
SUFFIXES = (".py", ".pyx", ".pxd", ".pxi", ".lua", ".cjs")
MAX_LINES = 500

# The floors of each house, from the top down; modules of one line are neighbours. A module imports from its own floor
# and from those below. A name stands for itself and all under it; the longest that fits counts. What only a type
# checker imports counts as well: an arrow upward ties the parts together all the same.
BROKER = (
    # `broker` itself only names what broker.server offers.
    ("broker", "broker.__main__", "broker.cli"),
    ("broker.completing", "broker.remote"),
    ("broker.testing",),
    ("broker.server",),
    ("broker.console_process", "broker.hosting", "broker.startup_log"),
    ("broker.network",),
    ("broker.commands",),
    ("broker.broker",),
    ("broker.replication",),
    ("broker.persistence",),
    ("broker.scripting",),
    ("broker.memory", "broker.migration", "broker.policies"),
    ("broker.execution",),
    ("broker.formats",),
    ("broker.observation",),
    ("broker.clients",),
    ("broker.keyspace",),
    ("broker.acl",),
    ("broker.table",),
    ("broker.values",),
    ("broker.observation.latency", "broker.observation.histogram"),
    ("broker.tls",),
    ("broker.config",),
    ("broker.process",),
    ("broker.class_options", "broker.native", "broker.type_variables", "broker.version"),
    ("protocol",),
)
CONSUMERS = (
    ("consumers.commands",),
    ("consumers.console",),
    ("consumers.jobs",),
    ("consumers.fanout", "consumers.lists", "consumers.streams"),
    ("consumers.engine",),
    (
        "consumers.fetching",
        "consumers.handling",
        "consumers.isolation",
        "consumers.leases",
        "consumers.postponing",
        "consumers.verdicts",
    ),
    ("consumers.delivery", "consumers.orphans", "consumers.settling", "consumers.succession"),
    (
        "consumers.deadletters",
        "consumers.groups",
        "consumers.options",
        "consumers.partitions",
        "consumers.transactions",
    ),
    ("consumers.connection",),
    ("consumers.redirections",),
    ("consumers.addresses",),
    ("consumers.capabilities",),
    ("consumers.replies",),
    ("consumers.connecting",),
    (
        "consumers.backlog",
        "consumers.codecs",
        "consumers.middleware",
        "consumers.task_groups",
        "consumers.telemetry",
        "consumers.tracing",
    ),
    (
        "consumers.background",
        "consumers.doorbell",
        "consumers.durations",
        "consumers.encryption",
        "consumers.errors",
        "consumers.headers",
        "consumers.names",
        "consumers.owners",
        "consumers.parking",
        "consumers.retry",
    ),
    ("consumers", "consumers.given", "consumers.loops"),  # `consumers` itself is a docstring
)
HOUSES = (BROKER, CONSUMERS)

# What still runs against the order: arrows upward, and modules that import each other in a circle. Only ever shortened.
UPWARD: set[tuple[str, str]] = set()
CIRCLES: set[frozenset[str]] = set()

# Source files that another test file covers, with that file.
TESTED_BY = {
    "broker/__init__.py": "tests/broker/test_server.py",
    "broker/__main__.py": "tests/broker/test_cli.py",
    "broker/commands/__init__.py": "tests/broker/table/test_command.py",
    "broker/commands/hashes/importing.py": "tests/oracle/test_hash_imports.py",
    "broker/commands/keys/migrate.py": "tests/oracle/test_migrate.py",
    "broker/commands/server/replication.py": "tests/oracle/test_replication_handshake.py",
    "broker/commands/server/replicaof.py": "tests/oracle/test_replica.py",
    "broker/commands/server/failover.py": "tests/oracle/test_replica.py",
    "broker/commands/server/info_replica.py": "tests/oracle/test_replica.py",
    "broker/replication/incoming.py": "tests/broker/replication/test_link.py",
    "broker/replication/joining.py": "tests/broker/replication/test_link.py",
    "broker/replication/link_sending.py": "tests/broker/replication/test_link.py",
    "broker/replication/link_status.py": "tests/broker/replication/test_link.py",
    "broker/replication/loading.py": "tests/broker/replication/test_link.py",
    "broker/replication/payload.py": "tests/broker/replication/test_link.py",
    "broker/commands/page.py": "tests/docs/test_commands_page.py",
    "broker/config/page.py": "tests/docs/test_configuration_page.py",
    "broker/persistence/append_only_folder.py": "tests/broker/persistence/test_rewriting.py",
    "broker/policies/dead_letters.py": "tests/broker/policies/test_governed_group.py",
    "broker/values/streams/delivery.py": "tests/broker/values/streams/test_group.py",
    "broker/commands/streams/nack.py": "tests/broker/policies/test_governed_group.py",
    "broker/broker.py": "tests/broker/execution/test_dispatcher.py",
    "broker/clients/transport.py": "tests/broker/network/test_connection.py",
    "broker/class_options.py": "tests/broker/process/test_clock.py",
    "broker/type_variables.py": "tests/broker/clients/test_session.py",
    "broker/clients/tracking_state.py": "tests/broker/clients/test_tracking.py",
    "broker/clients/wait.py": "tests/broker/clients/test_blocking.py",
    "protocol/native.py": "tests/test_twins.py",
    "consumers/delivery.py": "tests/consumers/streams/test_consumer.py",
    "consumers/engine.py": "tests/consumers/streams/test_consumer.py",
    "consumers/fetching.py": "tests/consumers/streams/test_consumer.py",
    "consumers/streams/message.py": "tests/consumers/streams/test_consumer.py",
    "consumers/fanout/links.py": "tests/consumers/test_fanout_subscription.py",
    "consumers/fanout/messages.py": "tests/consumers/test_fanout_subscription.py",
    "consumers/jobs/announcing.py": "tests/consumers/jobs/test_worker.py",
    "consumers/jobs/current.py": "tests/consumers/jobs/test_calling.py",
    "consumers/jobs/cancelling.py": "tests/consumers/jobs/test_queue.py",
    "consumers/jobs/flow_board.py": "tests/consumers/jobs/test_flow_transitions.py",
    "consumers/jobs/flow_cancelling.py": "tests/consumers/jobs/test_flows.py",
    "consumers/jobs/flow_handles.py": "tests/consumers/jobs/test_flows.py",
    "consumers/jobs/flow_plans.py": "tests/consumers/jobs/test_flow_model.py",
    "consumers/jobs/flow_removing.py": "tests/consumers/jobs/test_flows.py",
    "consumers/jobs/flow_resuming.py": "tests/consumers/jobs/test_flow_transitions.py",
    "consumers/jobs/flow_settling.py": "tests/consumers/jobs/test_flow_crashes.py",
    "consumers/jobs/flow_state.py": "tests/consumers/jobs/test_flow_transitions.py",
    "consumers/jobs/limits.py": "tests/consumers/jobs/test_queue.py",
    "consumers/jobs/process_child.py": "tests/consumers/jobs/test_process_pool.py",
    "consumers/jobs/process_messages.py": "tests/consumers/jobs/test_process_pool.py",
    "consumers/jobs/running.py": "tests/consumers/jobs/test_worker.py",
    "consumers/jobs/dead.py": "tests/consumers/jobs/test_worker.py",
    "consumers/jobs/handles.py": "tests/consumers/jobs/test_worker.py",
    "consumers/jobs/later.py": "tests/consumers/jobs/test_queue.py",
    "consumers/jobs/names.py": "tests/consumers/jobs/test_queue.py",
    "consumers/jobs/options.py": "tests/consumers/jobs/test_typing.py",
    "consumers/commands/job_queues.py": "tests/consumers/commands/test_jobs.py",
    "consumers/commands/other_queues.py": "tests/consumers/commands/test_queues.py",
    "consumers/commands/pause.py": "tests/consumers/commands/test_purge.py",
    "consumers/commands/resume.py": "tests/consumers/commands/test_purge.py",
    "consumers/commands/work_link.py": "tests/consumers/commands/test_work_supervisor.py",
    "consumers/commands/work_reload.py": "tests/consumers/commands/test_work_process.py",
    "consumers/commands/workers.py": "tests/consumers/commands/test_jobs.py",
    "consumers/console/queues/arq.py": "tests/clients/test_arq_console.py",
    "consumers/console/queues/bullmq.py": "tests/clients/test_bullmq_console.py",
    "consumers/console/queues/bullmq_acting.py": "tests/clients/test_bullmq_console.py",
    "consumers/console/queues/bullmq_keys.py": "tests/clients/test_bullmq_console.py",
    "consumers/console/queues/celery.py": "tests/clients/test_celery_console.py",
    "consumers/console/queues/celery_messages.py": "tests/clients/test_celery_console.py",
    "consumers/console/queues/dramatiq.py": "tests/clients/test_dramatiq_console.py",
    "consumers/console/queues/huey.py": "tests/clients/test_huey_console.py",
    "consumers/console/queues/rq.py": "tests/clients/test_rq_console.py",
    "consumers/console/queues/rq_limits.py": "tests/clients/test_rq_console.py",
    "consumers/console/queues/streaq.py": "tests/clients/test_streaq_console.py",
    "consumers/console/queues/streaq_acting.py": "tests/clients/test_streaq_console.py",
    "consumers/console/queues/streaq_keys.py": "tests/clients/test_streaq_console.py",
    "consumers/console/queues/taskiq.py": "tests/clients/test_taskiq_console.py",
    "consumers/console/queues/taskiq_messages.py": "tests/clients/test_taskiq_console.py",
    "consumers/console/queues/taskiq_schedules.py": "tests/clients/test_taskiq_console.py",
    "consumers/lists/inflight.py": "tests/consumers/lists/test_consumer.py",
    "consumers/lists/keys.py": "tests/consumers/lists/test_consumer.py",
    "consumers/lists/recovery.py": "tests/consumers/lists/test_consumer.py",
}

# Files that only hold a docstring, constants or names: there is nothing to test.
WITHOUT_BEHAVIOUR = {
    "broker/persistence/environment.py",
    "broker/version.py",
    "consumers/jobs/states.py",
}


def _sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in _sources("protocol", "broker", "consumers")}


def _place(module: str) -> tuple[int, int] | None:
    """The house of a module and its floor there, counted from the top; None for what is not ours."""
    best = max(
        (
            (len(name), house, floor)
            for house, floors in enumerate(HOUSES)
            for floor, names in enumerate(floors)
            for name in names
            if module == name or module.startswith(name + ".")
        ),
        default=None,
    )
    return None if best is None else best[1:]


def imports(source: str, module: str, is_package: bool) -> set[str]:
    """The modules that a source text imports anywhere, for type checkers too; names in modules as `module.name`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                above = package[: len(package) - node.level + 1]
                origin = ".".join([*above, *([origin] if origin else [])])
            found |= {f"{origin}.{alias.name}" for alias in node.names}
    return found


def _imported_modules(module: str, imported: Iterable[str]) -> set[str]:
    """Imported names as modules of ours: `broker.process.clock.Clock` is one of broker.process.clock."""
    found = set()
    for name in imported:
        if name not in MODULES:
            name = name.rpartition(".")[0]
        if name in MODULES:
            found.add(name)
    return found - {module}


@functools.cache
def _arrows() -> dict[str, set[str]]:
    """The modules that each imports: read once a test asks for them, not wherever tests are collected."""
    return {
        module: _imported_modules(module, imports(path.read_text(), module, path.name == "__init__.py"))
        for module, path in MODULES.items()
    }


def _upward(module: str, imported: Iterable[str]) -> list[tuple[str, str]]:
    """The arrows that leave a module for a floor above it, or for another house."""
    here = _place(module)
    assert here is not None, f"{module} is on no floor"
    found = []
    for name in sorted(imported):
        there = _place(name)
        if there is not None and (there[0] != here[0] or there[1] < here[1]):
            found.append((module, name))
    return found


def _circles(arrows: Mapping[str, set[str]]) -> set[frozenset[str]]:
    """The sets of modules each of which leads to all others of its set (Tarjan's components)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found = set()

    def visit(module: str) -> None:
        numbers[module] = lowest[module] = len(numbers)
        path.append(module)
        for other in arrows.get(module, ()):
            if other not in numbers:
                visit(other)
            if other in path:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == numbers[module]:
            circle = path[path.index(module) :]
            del path[path.index(module) :]
            if len(circle) > 1:
                found.add(frozenset(circle))

    for module in arrows:
        if module not in numbers:
            visit(module)
    return found


def test_imports_run_downwards() -> None:
    found = {arrow for module, imported in _arrows().items() for arrow in _upward(module, imported)}
    assert found - UPWARD == set()
    assert UPWARD - found == set(), "no longer there: take it off the list"


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = _circles(_arrows())
    assert found - CIRCLES == set()
    assert CIRCLES - found == set(), "no longer there: take it off the list"


def test_every_floor_is_there() -> None:
    for names in (name for floors in HOUSES for line in floors for name in line):
        assert names in MODULES or names == "broker.native", f"{names} is gone"


def test_consumers_run_on_either_loop() -> None:
    """They know anyio, not Trio."""
    for path in _sources("consumers"):
        found = imports(path.read_text(), _module(path), path.name == "__init__.py")
        assert not {name for name in found if name.split(".")[0] == "trio"}, path


def test_a_trespass_is_seen() -> None:
    source = "from broker.keyspace import keyspace\nif TYPE_CHECKING:\n    from broker.clients.session import Session\n"
    assert imports(source, "broker.values.list", False) == {
        "broker.keyspace.keyspace",
        "broker.clients.session.Session",
    }
    inside = "def f():\n    try:\n        from ..commands import lists\n    except ImportError:\n        pass\n"
    assert imports(inside, "broker.values.list", False) == {"broker.commands.lists"}
    assert _imported_modules("broker.tick", {"broker.process.clock.Clock", "trio.Event"}) == {"broker.process.clock"}
    assert _upward("broker.values.list", {"broker.keyspace.keyspace", "broker.process.clock"}) == [
        ("broker.values.list", "broker.keyspace.keyspace")
    ]
    assert _upward("protocol.replies", {"broker.clients.session"}) == [("protocol.replies", "broker.clients.session")]
    assert _upward("consumers.engine", {"protocol.replies", "consumers.errors"}) == [
        ("consumers.engine", "protocol.replies")
    ]


def test_a_circle_is_seen() -> None:
    arrows = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": set(), "f": {"g"}, "g": {"f", "a"}}
    assert _circles(arrows) == {frozenset("abc"), frozenset("fg")}
    assert _circles({"a": {"b"}, "b": {"c"}, "c": set()}) == set()


def _expected_tests(path: Path) -> list[Path]:
    """Where the tests of a source file may stand: its mirror, or one file for its whole package."""
    below = path.relative_to(ROOT)
    package = below.parent
    return [
        ROOT / "tests" / package / f"test_{below.stem.strip('_')}.py",
        ROOT / "tests" / package.parent / f"test_{package.name}_{below.stem}.py",
    ]


def test_every_source_file_has_a_test() -> None:
    missing = []
    for path in _sources("protocol", "broker", "consumers"):
        name = path.relative_to(ROOT).as_posix()
        if name in WITHOUT_BEHAVIOUR or (path.name == "__init__.py" and not _has_behaviour(path)):
            continue
        expected = [ROOT / TESTED_BY[name]] if name in TESTED_BY else _expected_tests(path)
        if not any(test.exists() for test in expected):
            missing.append(f"{expected[0].relative_to(ROOT)}, for {name}")
    assert missing == []


def _has_behaviour(path: Path) -> bool:
    """Whether a file holds anything but a docstring, imports and assignments."""
    quiet = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    return any(not isinstance(statement, quiet) for statement in ast.parse(path.read_text()).body)


def test_no_file_is_long() -> None:
    """A longer one holds a second idea; the order by score is one algorithm."""
    files = [path for folder in OURS for suffix in SUFFIXES for path in (ROOT / folder).rglob(f"*{suffix}")]
    assert len(files) > 500
    long = [path.relative_to(ROOT).as_posix() for path in files if len(path.read_text().splitlines()) > MAX_LINES]
    assert set(long) <= {"broker/values/_score_order.pyx"}


def test_the_exceptions_are_real_files() -> None:
    for name in [*TESTED_BY, *WITHOUT_BEHAVIOUR]:
        assert (ROOT / name).exists(), f"{name} is gone: drop it from the list"
        assert not any(test.exists() for test in _expected_tests(ROOT / name)), f"{name} has a test of its own now"
    assert all(name.split("/")[0] in OURS for name in TESTED_BY.values())


def test_the_map_of_the_tests_names_what_is_there() -> None:
    text = (ROOT / "tests/README.md").read_text()
    named = re.findall(r"`(tests[./][\w./]*\w)/?`", text)
    assert len(named) > 10
    for name in named:
        path = ROOT / (name if "/" in name else name.replace(".", "/") + ".py")
        assert path.exists(), f"tests/README.md names {name}, which is gone"
