"""What is measured, and how much of it."""

import re
from pathlib import Path

from consumers.console.metrics.catalogue import CATALOGUE, GROUPS, QUEUES, STREAMS, series
from consumers.console.metrics.reading import Reading
from consumers.console.queues.library import Figures
from consumers.console.streams import GroupFigures, StreamFigures
from tests.consumers.console.metrics.readings import GROUP, READING

Points = dict[str, dict[tuple[str, ...], float]]


def points(reading: Reading) -> Points:
    found = {one.metric.name: dict(one.points) for one in series(reading)}
    assert all(len(one.points) == len(found[one.metric.name]) for one in series(reading)), "a point is there twice"
    return found


def test_every_metric_is_described_once_and_by_convention() -> None:
    names = [metric.name for metric in CATALOGUE]
    assert len(names) == len(set(names))
    for metric in CATALOGUE:
        assert re.fullmatch(r"trimaran(\.[a-z]+(_[a-z]+)*){1,2}", metric.name), metric.name
        assert re.fullmatch(r"By|s||\{[a-z]+\}", metric.unit), metric.unit
        assert metric.description.endswith(".")
        assert not any(other.startswith(f"{metric.name}.") for other in names), f"{metric.name} is a namespace, too"


def test_every_metric_is_documented_with_its_attributes() -> None:
    rows = re.findall(r"^\| (`trimaran\..*)$", (Path(__file__).parents[4] / "docs/observing.md").read_text(), re.M)
    documented = {}
    for row in rows:
        names, unit, attributes, *_ = (cell.strip() for cell in row.split("|"))
        first, *others = re.findall(r"`([a-z._]+)`", names)
        for name in (first, *others):
            whole = f"{first.rpartition('.')[0]}{name}" if name.startswith(".") else name
            documented[whole] = tuple(re.findall(r"`(\w+)`", attributes)), unit if unit in ("By", "s") else ""
    assert documented == {
        metric.name: (metric.attributes, metric.unit if metric.unit in ("By", "s") else "") for metric in CATALOGUE
    }


def test_seconds_are_fractions_and_all_else_is_counted() -> None:
    found = points(READING)
    assert found["trimaran.uptime"] == {(): 10.0} and isinstance(found["trimaran.uptime"][()], float)
    assert isinstance(found["trimaran.memory.used"][()], int)
    assert type(found["trimaran.up"][()]) is int and type(found["trimaran.queue.paused"]["rq", "default"]) is int


def test_what_nobody_knows_is_left_out() -> None:
    found = points(READING)
    assert "trimaran.group.lag" not in found and "trimaran.queue.running" not in found
    assert "trimaran.evicted_keys" not in found
    assert points(Reading(up=False)) == {"trimaran.up": {(): 0}}


def test_a_stream_with_partitions_is_named_once() -> None:
    whole = StreamFigures(name=b"orders", entries=7, groups=[GROUP], left_out=0, partitions=16)
    other = StreamFigures(name=b"other", entries=1, groups=[], left_out=0)
    found = points(Reading(up=True, streams=[whole, other]))
    assert found["trimaran.stream.entries"] == {("orders",): 7, ("other",): 1}
    assert found["trimaran.stream.partitions"] == {("orders",): 16}


def test_a_group_without_pending_entries_has_none_that_is_old() -> None:
    group = GroupFigures(name=b"g", consumers=0, pending=0, lag=3, oldest=None, dead=None)
    found = points(Reading(up=True, streams=[StreamFigures(name=b"s", entries=3, groups=[group], left_out=0)]))
    assert found["trimaran.group.oldest_pending"] == {("s", "g"): 0.0}
    assert found["trimaran.group.lag"] == {("s", "g"): 3} and "trimaran.group.dead_letters" not in found


def test_what_a_server_must_not_say_is_zero() -> None:
    assert points(Reading(up=True, found={"used_memory": "inf", "maxmemory": "x"}))["trimaran.memory.used"] == {(): 0}


def test_the_number_of_points_is_bounded() -> None:
    groups = [GroupFigures(name=b"%d" % n, consumers=0, pending=0, lag=0, oldest=None, dead=None) for n in range(10)]
    streams = [StreamFigures(name=b"%05d" % n, entries=0, groups=groups, left_out=0) for n in range(STREAMS + 500)]
    queues = [Figures(library="rq", name=f"{n:05}", waiting=0) for n in range(QUEUES + 5)]
    found = points(Reading(up=True, streams=streams, queues=queues))
    assert len(found["trimaran.stream.entries"]) == STREAMS
    assert len(found["trimaran.group.lag"]) == GROUPS
    assert len(found["trimaran.queue.waiting"]) == QUEUES
    assert found["trimaran.left_out"] == {
        ("streams",): 500, ("groups",): 10 * (STREAMS + 500) - GROUPS, ("queues",): 5,
    }  # fmt: skip


def test_names_that_begin_alike_are_named_once() -> None:
    streams = [StreamFigures(name=b"x" * 300 + b"%d" % n, entries=n, groups=[GROUP], left_out=0) for n in range(3)]
    assert points(Reading(up=True, streams=streams))["trimaran.left_out"]["streams",] == 2
