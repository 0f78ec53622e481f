"""The adjustment of the score by which the kernel ends processes, in a file that stands for the kernel's."""

from pathlib import Path

import pytest

from broker.process.oom_score import BROKER, CHILD, OomScore

VALUES = (10, 200, 800)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "oom_score_adj"
    path.write_text("100\n")
    return path


def quiet(text: str, **values: object) -> None:
    pass


def test_off_touches_nothing(file: Path) -> None:
    file.chmod(0)
    assert OomScore(quiet, file).apply("no", VALUES, BROKER)


def test_relative_to_what_it_was_at_the_start(file: Path) -> None:
    score = OomScore(quiet, file)
    for values, role, expected in ((VALUES, BROKER, "110"), (VALUES, CHILD, "900"), ((20, 0, 0), BROKER, "120")):
        assert score.apply("yes", values, role)
        assert file.read_text() == expected
    assert score.apply("absolute", VALUES, BROKER)
    assert file.read_text() == "10"
    assert score.apply("no", VALUES, BROKER)
    assert file.read_text() == "100"


def test_no_more_than_the_kernel_takes(file: Path) -> None:
    score = OomScore(quiet, file)
    assert score.apply("yes", (2000, 0, -2000), BROKER)
    assert file.read_text() == "1000"
    assert score.apply("yes", (2000, 0, -2000), CHILD)
    assert file.read_text() == "-1000"


def test_a_refusal_is_reported(tmp_path: Path) -> None:
    warnings: list[str] = []
    score = OomScore(lambda text, **values: warnings.append(text), tmp_path / "nothing")
    assert not score.apply("yes", VALUES, BROKER)
    file = tmp_path / "folder"
    file.write_text("0")
    score = OomScore(lambda text, **values: warnings.append(text), file)
    assert score.apply("yes", VALUES, BROKER)
    file.unlink()
    file.mkdir()
    assert not score.apply("absolute", VALUES, BROKER)
    assert warnings == ["Unable to read oom_score_adj", "Unable to write oom_score_adj"]
