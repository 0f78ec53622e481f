"""Directives with a syntax of their own: what their lines do to the value in force.

The texts they take, refuse and show stand in test_config_kinds.py, beside those of all directives.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from broker.config.directives import BY_NAME
from broker.config.syntaxes import BufferLimit, SavePoint


def parse(name: str, *words: bytes) -> Any:
    directive = BY_NAME[name]
    return directive.parse(words, directive.default)


def test_a_buffer_limit_of_one_class_leaves_the_others() -> None:
    limits = parse("client-output-buffer-limit", b"slave", b"1mb", b"1k", b"5")
    assert limits.replica == BufferLimit(1024**2, 1000, 5)
    assert limits.pubsub == BufferLimit(32 * 1024**2, 8 * 1024**2, 60)


def test_save_lines_of_a_file_add_up_until_an_empty_one() -> None:
    save = BY_NAME["save"]
    points: Any = save.add([b"60", b"1"], save.default, repeated=False)
    points = save.add([b"30", b"2"], points, repeated=True)
    assert points == (SavePoint(60, 1), SavePoint(30, 2))
    assert save.add([b""], points, repeated=True) == ()


def test_a_too_small_backlog_is_made_larger() -> None:
    assert parse("repl-backlog-size", b"1") == 16 * 1024
    assert parse("repl-backlog-size", b"1mb") == 1024**2


def test_event_classes_are_ordered_and_shortened() -> None:
    assert parse("notify-keyspace-events", b"EKg$lshzxetda") == "AKE"
    assert parse("notify-keyspace-events", b"nAE") == "AnE"
    assert parse("notify-keyspace-events", b"xgxg") == "gx"


def test_a_relative_directory_counts_from_the_one_in_force(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    directive: Any = BY_NAME["dir"]
    assert directive.parse([b"below"], str(tmp_path)) == str(tmp_path / "below")
    assert directive.parse([b".."], str(tmp_path / "below")) == str(tmp_path)
    for name in (b"", b"missing", b"below\0"):
        with pytest.raises(ValueError, match="No such file"):
            directive.parse([name], str(tmp_path))
    assert os.getcwd() != str(tmp_path)
