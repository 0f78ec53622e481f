"""docs/configuration.md agrees with the table of directives."""

from pathlib import Path

from broker.config.directives import TABLE
from broker.config.page import effect, lines

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text() == "\n".join(lines()) + "\n", "run `make docs`"


def test_every_directive_is_on_the_page_once() -> None:
    rows = [line.split("`")[1] for line in lines() if line.startswith("| `")]
    assert len(rows) == len(set(rows))
    assert TABLE.keys() <= set(rows)


def test_effects() -> None:
    assert effect(TABLE["maxclients"]) == "active"
    assert effect(TABLE["jemalloc-bg-thread"]) == "no effect"
    assert effect(TABLE["cluster-enabled"]) == "refused: cluster mode is not supported"
