"""A job as a stream's entry and as a body."""

import pytest

from consumers.jobs.entries import (
    JobEntry,
    body_of,
    error_text,
    from_body,
    new_ids,
    put_into_stream,
    read_body,
    read_entry,
    time_in,
)
from consumers.jobs.names import Keys


def stored(entry: JobEntry) -> list[bytes]:
    """As the server gives it back."""
    return [one if isinstance(one, bytes) else str(one).encode() for one in entry.values()]


@pytest.mark.parametrize(
    "entry",
    [
        JobEntry("1", "resize", b"\x80"),
        JobEntry("1", "resize", b"\xff\x00", reply="abc", unique="resize:1", failed=3, since=1700000000000001),
        JobEntry("1", "\u00e9", b"", failed=1, error="ValueError: \u00e9\n", expires=1700000000.125),
        JobEntry("1", "resize", b"\x80", reply="abc"),
    ],
)
def test_an_entry_comes_back_as_it_was(entry: JobEntry) -> None:
    assert JobEntry.read(stored(entry)) == entry
    stream, values = from_body(body_of("jobs:{q}:high", entry))
    assert stream == "jobs:{q}:high" and JobEntry.read(values) == entry


def test_fields_of_others_are_passed_over() -> None:
    values = [*stored(JobEntry("1", "a", b"")), b"redriven-id", b"1-1", b"failed", b"x"]
    assert JobEntry.read(values) == JobEntry("1", "a", b"")


@pytest.mark.parametrize("missing", ["id", "job", "args"])
def test_an_entry_that_is_no_job_is_told_so(missing: str) -> None:
    fields = {"id": b"1", "job": b"a", "args": b""}
    del fields[missing]
    with pytest.raises(ValueError, match=f"not a job: the field {missing} is missing"):
        JobEntry.read([one for pair in fields.items() for one in (pair[0].encode(), pair[1])])


def test_an_error_is_text_of_limited_length() -> None:
    assert error_text(ValueError("no")) == "ValueError: no" and len(error_text(ValueError("x" * 5000))) == 300
    assert error_text(ValueError("\udcff")) == "ValueError: ?"


def test_ids_are_random_and_tell_the_time() -> None:
    ids = new_ids(1234.5, 1000)
    assert len(set(ids)) == 1000 and {len(id) for id in ids} == {30} and {time_in(id) for id in ids} == {1234.5}
    assert new_ids(5.0, 0) == []
    assert [time_in(id) for id in ("order-17", "z" * 30, "")] == [None, None, None]


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", b"\x90", b"\x91\xc4\x01s", b"\x92\xc4\x01s\xc4\x02id", b"\x93\xc4\x01s\xc4\x01a\xc4\x01b"]
)
def test_a_body_that_is_damaged_is_no_job(body: bytes) -> None:
    assert read_body(body) is None


def test_stored_jobs_are_put_into_their_streams_and_damaged_ones_where_a_worker_finds_them() -> None:
    keys, entry = Keys("q", ["low"]), JobEntry("1", "a", b"")
    assert read_body(body_of("s", entry)) == ("s", entry)
    other = body_of("other", entry)
    bodies = [body_of(keys.streams["low"], entry), None, b"\xc1", other]
    assert put_into_stream(keys, [b"1", b"2", b"3", b"4"], bodies) == [
        (b"XADD", keys.streams["low"], b"*", *stored(entry)),
        (b"XADD", keys.resumed, b"*", b"id", b"3", b"damaged", b"\xc1"),
        (b"XADD", keys.resumed, b"*", b"id", b"4", b"damaged", other),
    ]
    assert read_entry([b"id", b"3", b"damaged", b"\xc1"]) is None
