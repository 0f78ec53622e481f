"""Encoding of members and scores."""

from collections.abc import Iterable, Sequence

from broker.broker import Client
from broker.values.sorted_set import Entry
from protocol.replies import array, array_header, bulk, bulks


def entries_reply(session: Client, entries: Sequence["Entry"], with_scores: bool) -> bytes:
    """Encodes members in their order; with scores, a flat array in RESP2 and an array of pairs in RESP3."""
    if not with_scores:
        return bulks([member for _, member in entries])
    if session.resp.version == 2:
        return array_header(2 * len(entries)) + flat_entries(session, entries)
    return nested_entries(session, entries)


def flat_entries(session: Client, entries: Iterable["Entry"]) -> bytes:
    """Encodes members and scores alternately, without a header."""
    double = session.resp.double
    return b"".join([bulk(member) + double(score) for score, member in entries])


def nested_entries(session: Client, entries: Iterable["Entry"]) -> bytes:
    """Encodes an array of pairs."""
    double = session.resp.double
    return array([b"*2\r\n" + bulk(member) + double(score) for score, member in entries])
