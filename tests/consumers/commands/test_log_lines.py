"""Log records as JSON."""

import json
import logging
import sys

from consumers.commands.log_lines import JsonLines


def test_a_record_is_one_line_with_its_own_fields() -> None:
    try:
        raise ValueError("x\ny")
    except ValueError:
        record = logging.LogRecord("consumers", logging.WARNING, "f", 1, "%s failed\n", ("a",), sys.exc_info())
    record.stream, record.delay = "orders", 1.5
    line = JsonLines().format(record)
    assert "\n" not in line
    fields = json.loads(line)
    assert fields.pop("time").endswith("+00:00") and fields.pop("error").endswith("ValueError: x\ny")
    assert fields == {
        "level": "WARNING", "logger": "consumers", "message": "a failed\n", "stream": "orders", "delay": 1.5,
    }  # fmt: skip
