"""The syntax of commands, as a server describes them."""

import coredis
import pytest

from consumers.commands.command_docs import CommandDoc, parse_docs
from consumers.connection import open_link

SYNTAX = {
    "GET": "key",
    "DEL": "key [key ...]",
    "SETRANGE": "key offset value",
    "EXPIRE": "key seconds [NX | XX | GT | LT]",
    "ZRANGEBYSCORE": "key min max [WITHSCORES] [LIMIT offset count]",
    "LPOS": "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
    "XACK": "key group id [id ...]",
    "SORT_RO": "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
    "LMOVE": "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
}


@pytest.fixture
async def docs(client: coredis.Redis[bytes]) -> dict[str, CommandDoc]:
    async with open_link(client, "") as link:
        [reply] = await link.execute([(b"COMMAND", b"DOCS")])
    return parse_docs(reply)


async def test_syntax(docs: dict[str, CommandDoc]) -> None:
    assert {name: docs[name].syntax for name in SYNTAX} == SYNTAX


async def test_subcommands(docs: dict[str, CommandDoc]) -> None:
    names = {doc.name: doc for doc in docs["XGROUP"].subcommands}
    # the names of arguments differ between versions
    assert names["XGROUP CREATE"].syntax.startswith("key group")
    assert " <id | $> [MKSTREAM] [ENTRIESREAD " in names["XGROUP CREATE"].syntax
    assert names["XGROUP CREATE"].summary and names["XGROUP CREATE"].since == "5.0.0"


def test_a_reply_of_pairs_is_the_same_as_a_map() -> None:
    entry = {b"summary": b"s", b"since": b"1", b"arguments": [{b"name": b"key", b"type": b"key"}]}
    flat = [b"summary", b"s", b"since", b"1", b"arguments", [[b"name", b"key", b"type", b"key"]]]
    assert parse_docs({b"get": entry}) == parse_docs([b"get", flat])
