"""What the prompt of `trimaran cli` completes and shows, and what it does not keep."""

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from consumers.commands.cli_prompt import CommandCompleter, is_secret, syntax_of
from tests.consumers.commands.test_cli import DOCS


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", ["GET", "XADD", "XGROUP"]),
        ("x", ["XADD", "XGROUP"]),
        ("xgroup ", ["CREATE"]),
        ("XGROUP create s g 0 m", ["MKSTREAM"]),
        ("XGROUP CREATE s g 0 MKSTREAM ", []),
        ("GET ", []),
        ("nosuch ", []),
    ],
)
def test_completions(typed: str, expected: list[str]) -> None:
    found = CommandCompleter(DOCS).get_completions(Document(typed), CompleteEvent())
    assert [one.text for one in found] == expected


def test_the_syntax_of_what_is_typed() -> None:
    assert syntax_of(DOCS, "xadd s ") == "XADD key <* | id> field value [field value ...]"
    assert syntax_of(DOCS, "xgroup") == "XGROUP CREATE"
    assert syntax_of(DOCS, "xgroup create s") == "XGROUP CREATE key group id [MKSTREAM]"
    assert syntax_of(DOCS, "") == syntax_of(DOCS, "nosuch") == ""


@pytest.mark.parametrize(
    "line", ["auth x", "HELLO 3 AUTH u p", "acl setuser u >p", "CONFIG SET requirepass x", "config set masterauth y"]
)
def test_secrets(line: str) -> None:
    assert is_secret(line)


@pytest.mark.parametrize("line", ["GET auth", "CONFIG SET maxmemory 1", "ACL LIST", ""])
def test_no_secrets(line: str) -> None:
    assert not is_secret(line)
