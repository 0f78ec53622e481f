"""Which measurements fail a check against the record: no server runs here."""

from pathlib import Path

from tests.benchmarks.recorded import Circumstances, Key, Ratios, Record, Verdict, differing, judge, read, write

MADE = Circumstances(date="2026-11-29", python="3.11.7", build="compiled", redis="7.0.15", seconds=2.0, rounds=5)
GET, SET = Key("GET", 1), Key("SET", 16, "always")
RECORDS = {GET: Record(Ratios(0.9, 1.2), MADE), SET: Record(Ratios(0.7, 1.5), MADE)}


def judged(measured: dict[Key, Ratios | None], again: dict[Key, Ratios | None]) -> list[Verdict]:
    """Verdicts, where only the lines in `again` may be measured again, and each of them once."""
    verdicts = judge(measured, RECORDS, again.pop)
    assert not again
    return verdicts


def test_a_line_within_a_tenth_is_not_measured_again() -> None:
    verdicts = judged({GET: Ratios(0.1, 1.31), SET: Ratios(0.7, 1.0)}, {})
    assert [verdict.bad for verdict in verdicts] == [False, False]


def test_a_line_that_seems_worse_counts_only_if_it_is_so_again() -> None:
    assert [verdict.bad for verdict in judged({GET: Ratios(0.9, 1.33)}, {GET: Ratios(0.9, 1.25)})] == [False]
    assert [verdict.bad for verdict in judged({GET: Ratios(0.9, 1.33)}, {GET: Ratios(0.9, 1.35)})] == [True]


def test_a_line_that_fails_is_bad() -> None:
    assert [verdict.bad for verdict in judged({GET: None}, {})] == [True]
    assert [verdict.bad for verdict in judged({GET: Ratios(0.9, 1.33)}, {GET: None})] == [True]


def test_a_line_without_a_record_is_not() -> None:
    assert [verdict.bad for verdict in judged({Key("GET", 1, "always"): Ratios(0.1, 9.0)}, {})] == [False]


def test_a_file_keeps_its_records_one_on_a_line(tmp_path: Path) -> None:
    path = tmp_path / "recorded.json"
    assert read(path) == {}
    write(path, RECORDS)
    assert read(path) == RECORDS
    assert len(path.read_text().splitlines()) == len(RECORDS) + 2


def test_another_build_or_interpreter_is_noted() -> None:
    assert differing(MADE, RECORDS.values()) is None
    slower = Circumstances(date="2026-11-30", python="3.13.1", build="pure", redis="7.0.15", seconds=2.0, rounds=5)
    assert "a build that is compiled, CPython 3.11.7" in str(differing(slower, RECORDS.values()))
