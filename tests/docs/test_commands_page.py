"""docs/commands.md agrees with the command table."""

from pathlib import Path

from broker.commands.page import TITLES, lines
from broker.table.command import DECLARED

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text() == "\n".join(lines()) + "\n", "run `make docs`"


def test_every_command_is_on_the_page() -> None:
    page = PAGE.read_text()
    missing = [name for name in DECLARED if f"`{name.decode().upper().replace('|', ' ')}`" not in page]
    assert not missing


def test_every_group_has_a_title() -> None:
    assert {command.group for command in DECLARED.values()} <= TITLES.keys()
