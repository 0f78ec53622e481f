"""/metrics: what is named, and how much of it."""

import shutil
import subprocess
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from consumers.console.metrics import GROUPS, QUEUES, STREAMS, exposition
from consumers.console.queues.library import Figures
from consumers.console.server import About
from consumers.console.streams import GroupFigures, StreamFigures

ABOUT = About("Trimaran", "1.0", "standalone")
INFO = {"connected_clients": "3", "total_commands_processed": "1000000000000", "db0": "keys=5,expires=2", "dbx": "1"}
GROUP = GroupFigures(name=b'a"\\\n\xff', consumers=2, pending=5, lag=None, oldest=1.5, dead=4)
STREAM = StreamFigures(name=b"orders", entries=7, groups=[GROUP], left_out=2)
QUEUE = Figures(library="rq", name="default", waiting=3, dead=1, paused=True, oldest=2.5)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(page: bytes) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, "Prometheus refuses what is named twice"
            found[key] = sample.value
    return found


def test_figures_are_named() -> None:
    found = samples(exposition(ABOUT, INFO, [STREAM], [QUEUE]))
    assert found["trimaran_up", ()] == 1
    assert found["trimaran_server_info", (("kind", "Trimaran"), ("mode", "standalone"), ("version", "1.0"))] == 1
    assert found["trimaran_connections", ()] == 3
    assert found["trimaran_commands_total", ()] == 1e12
    assert found["trimaran_expiring_keys", (("database", "0"),)] == 2
    assert found["trimaran_stream_entries", (("stream", "orders"),)] == 7
    group = (("group", 'a"\\\\n\\xff'), ("stream", "orders"))
    assert found["trimaran_group_pending", group] == 5
    assert found["trimaran_group_oldest_pending_seconds", group] == 1.5
    assert found["trimaran_group_dead_letters_total", group] == 4
    assert ("trimaran_group_lag", group) not in found, "the server does not know it"
    queue = (("library", "rq"), ("queue", "default"))
    assert [found[f"trimaran_queue_{name}", queue] for name in ("waiting", "dead", "paused", "oldest_seconds")] == [
        3, 1, 1, 2.5,
    ]  # fmt: skip
    assert ("trimaran_queue_running", queue) not in found
    assert found["trimaran_left_out", (("kind", "groups"),)] == 2
    assert not any(name == "trimaran_evicted_keys_total" for name, _ in found)


def test_a_stream_with_partitions_is_named_once() -> None:
    whole = StreamFigures(name=b"orders", entries=7, groups=[GROUP], left_out=0, partitions=16)
    found = samples(exposition(ABOUT, INFO, [whole, replace(STREAM, name=b"other")], None))
    assert found["trimaran_stream_entries", (("stream", "orders"),)] == 7
    assert found["trimaran_stream_partitions", (("stream", "orders"),)] == 16
    assert ("trimaran_stream_partitions", (("stream", "other"),)) not in found


def test_a_server_that_is_away_is_down() -> None:
    assert samples(exposition(None, {}, None, None)) == {("trimaran_up", ()): 0}


def test_the_number_of_metrics_is_bounded() -> None:
    groups = [GroupFigures(name=b"%d" % n, consumers=0, pending=0, lag=0, oldest=None, dead=None) for n in range(10)]
    streams = [StreamFigures(name=b"%05d" % n, entries=0, groups=groups, left_out=0) for n in range(STREAMS + 500)]
    queues = [Figures(library="rq", name=f"{n:05}", waiting=0) for n in range(QUEUES + 5)]
    found = samples(exposition(ABOUT, {}, streams, queues))
    assert sum(name == "trimaran_stream_entries" for name, _ in found) == STREAMS
    assert sum(name == "trimaran_group_lag" for name, _ in found) == GROUPS
    assert sum(name == "trimaran_queue_waiting" for name, _ in found) == QUEUES
    left_out = {labels[0][1]: value for (name, labels), value in found.items() if name == "trimaran_left_out"}
    assert left_out == {"streams": 500, "groups": 10 * (STREAMS + 500) - GROUPS, "queues": 5}


def test_names_that_begin_alike_are_named_once() -> None:
    streams = [StreamFigures(name=b"x" * 300 + b"%d" % n, entries=n, groups=[GROUP], left_out=0) for n in range(3)]
    found = samples(exposition(ABOUT, {}, streams, None))
    assert found["trimaran_left_out", (("kind", "streams"),)] == 2


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_nothing_to_say() -> None:
    page = exposition(ABOUT, INFO, [STREAM], [QUEUE])
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
