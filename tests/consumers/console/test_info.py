"""INFO as fields."""

from consumers.console.info import fields, number, parts, sections

REPLY = b"# Server\r\nredis_version:8.0.0\r\nos:a:b\r\n\r\n# Keyspace\r\ndb0:keys=3,expires=1\r\n# Empty\r\n"


def test_sections_and_fields() -> None:
    assert sections(REPLY) == {
        "Server": {"redis_version": "8.0.0", "os": "a:b"},
        "Keyspace": {"db0": "keys=3,expires=1"},
    }
    assert fields(REPLY)["os"] == "a:b"
    assert parts(fields(REPLY)["db0"]) == {"keys": "3", "expires": "1"}


def test_what_is_missing_or_no_number_is_zero() -> None:
    assert number({"a": "1.5", "b": "x"}, "a") == 1.5
    assert number({"a": "1.5", "b": "x"}, "b") == number({}, "a") == 0
