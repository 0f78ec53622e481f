"""What all pages share."""

import re
from pathlib import Path

import jinja2
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from consumers.console import views
from consumers.console.views import change, link, query_of, rate


def test_any_bytes_survive_a_query() -> None:
    path = link("/keys/key", key=b"a\xff&=b \xc3\xa9", page=None, empty="", number=3)
    assert path == "/keys/key?key=a%FF%26%3Db%20%C3%A9&number=3"
    request = Request({"type": "http", "query_string": path.partition("?")[2].encode()})
    found = query_of(request)
    assert found["key"].encode("utf-8", "surrogateescape") == b"a\xff&=b \xc3\xa9"
    assert link("/keys/key", key=found["key"], number=3) == path
    assert link("/") == "/"
    assert link("/", id="a\ud800") == "/?id=a%3F"


def test_a_query_of_a_thousand_fields_is_refused() -> None:
    with pytest.raises(HTTPException):
        query_of(Request({"type": "http", "query_string": b"a=1&" * 1000}))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("size", 0, "0 B"), ("size", 1023, "1023 B"), ("size", 1536, "1.5 KiB"), ("size", 5 * 2**40, "5.0 TiB"),
        ("count", 1234567, "1,234,567"), ("count", None, "-"), ("duration", 90061, "1d1h"), ("duration", None, "-"),
        ("moment", 0, "1970-01-01 00:00:00"), ("moment", None, "-"),
    ],
)  # fmt: skip
def test_figures_are_readable(name: str, value: float | None, expected: str) -> None:
    assert views._ENVIRONMENT.filters[name](value) == expected


def test_rates_have_the_digits_that_count() -> None:
    assert list(map(rate, (0.0, 0.016, 0.97, 9.96, 1234.4, None))) == ["0", "0.02", "1.0", "10.0", "1,234", "-"]
    assert list(map(change, (1200.0, -0.7, 0.2, None))) == ["+1,200", "-1", "0", "-"]


def test_templates_escape_everything() -> None:
    assert views._ENVIRONMENT.autoescape is True
    with pytest.raises(jinja2.UndefinedError):
        views._ENVIRONMENT.from_string("{{ nosuch }}").render()
    folder = Path(views.__file__).parent / "templates"
    for template in folder.iterdir():
        text = template.read_text()
        assert not re.search(r"\|\s*safe\b|autoescape|Markup", text), template
        # the content security policy would keep all of these from working
        assert not re.search(r"<script>|<style|\son\w+=|\sstyle=|javascript:", text), template
        # browsers end a paragraph where a form begins
        assert not re.search(r"<p[ >](?:(?!</p>).)*(?:<form|parts\.action)", text, re.DOTALL), template
        assert not re.search(r"(?:src|href|action)=[\"']?(?:https?:)?//", text), template
