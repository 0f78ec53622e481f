"""Prometheus's text: its names, its samples, and what promtool thinks of it."""

import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from consumers.console.metrics.catalogue import CATALOGUE
from consumers.console.metrics.prometheus import exposition, prometheus_name
from consumers.console.metrics.reading import Reading
from tests.consumers.console.metrics.readings import READING

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
    found = samples(exposition(READING))
    assert found["trimaran_up", ()] == 1
    assert found["trimaran_server_info", (("kind", "Trimaran"), ("mode", "standalone"), ("version", "1.0"))] == 1
    assert found["trimaran_connections", ()] == 3
    assert found["trimaran_commands_total", ()] == 1e12
    assert found["trimaran_memory_used_bytes", ()] == 123
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


def test_a_server_that_is_away_is_down() -> None:
    assert samples(exposition(Reading(up=False))) == {("trimaran_up", ()): 0}


def test_no_name_is_used_twice() -> None:
    assert len({prometheus_name(metric) for metric in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_has_nothing_to_say() -> None:
    page = exposition(READING)
    checked = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
