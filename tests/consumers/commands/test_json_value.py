"""Replies as JSON: what the cases of test_reply_text.py leave open."""

import json

from consumers.commands.json_value import json_value


def test_keys_are_texts_and_infinities_too() -> None:
    assert json.dumps(json_value({1: [float("-inf"), True], b"b": {b"c": None}})) == (
        '{"1": ["-inf", true], "b": {"c": null}}'
    )
