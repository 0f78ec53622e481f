"""`trimaran cli`: one command, lines from a pipe, and help."""

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import coredis
import pytest

from consumers.commands import cli
from consumers.commands.command_docs import CommandDoc
from consumers.commands.running import CommandError
from consumers.connection import open_link
from tests.consumers.commands.commands import Kept, lines, prepared

Client = coredis.Redis[bytes]

DOCS = {
    "XADD": CommandDoc("XADD", "Adds.", "key <* | id> field value [field value ...]", "5.0.0", "stream", "O(1)"),
    "XGROUP": CommandDoc(
        "XGROUP", "About groups.", "", "5.0.0", "stream", "",
        (CommandDoc("XGROUP CREATE", "Creates a group.", "key group id [MKSTREAM]", "5.0.0", "stream", "O(1)"),),
    ),
    "GET": CommandDoc("GET", "Returns a value.", "key", "1.0.0", "string", "O(1)"),
}  # fmt: skip


async def status_of(client: Client, *words: str) -> tuple[int, list[str]]:
    command, options = prepared(cli, words)
    output = Kept()
    return await command(client, options, output), output.lines


async def test_a_command_and_its_reply(client: Client) -> None:
    assert await lines(cli, client, "SET", "a key", "some text") == ["OK"]
    assert await lines(cli, client, "MGET", "a key", "none") == ["some text", ""]
    assert await lines(cli, client, "--json", "HSET", "h", "f", "v") == ["1"]
    assert json.loads((await lines(cli, client, "--json", "HGETALL", "h"))[0]) == {"f": "v"}
    assert await status_of(client, "INCR", "a key") == (1, ["ERR value is not an integer or out of range"])
    assert await status_of(client, "--json", "LPUSH", "h", "x") == (
        1, ['{"error": "WRONGTYPE Operation against a key holding the wrong kind of value"}'],
    )  # fmt: skip


async def test_a_command_waits_as_long_as_it_says(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.connection.ANSWER_SECONDS", 0.05)
    assert await lines(cli, client, "BLPOP", "none", "0.3") == [""]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("subscribe news", "SUBSCRIBE answers without end; `trimaran tail` is made for it"),
        ("MONITOR", "MONITOR answers without end; `redis-cli monitor` is made for it"),
        ("HELLO 2", "HELLO would change how replies are read here"),
        ("client reply off", "CLIENT REPLY would change how replies are read here"),
    ],
)
async def test_what_is_not_sent(client: Client, command: str, reason: str) -> None:
    with pytest.raises(CommandError) as refusal:
        await status_of(client, *command.split())
    assert str(refusal.value) == reason


async def test_lines_from_a_pipe(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("SET k 'a b'\n\nGET k\nINCR k\n"))
    assert await status_of(client) == (1, ["OK", "a b", "ERR value is not an integer or out of range"])
    monkeypatch.setattr(sys, "stdin", io.StringIO("GET 'k\n"))
    with pytest.raises(CommandError, match="no closing quotation"):
        await status_of(client)


def test_help() -> None:
    assert list(cli.help_lines(DOCS, ["get"])) == ["GET key", "  Returns a value.", "  O(1), since 1.0.0, group string"]
    assert next(iter(cli.help_lines(DOCS, ["xgroup", "create"]))) == "XGROUP CREATE key group id [MKSTREAM]"
    assert [line for line in cli.help_lines(DOCS, ["x"]) if line[0] != " "] == [
        "XADD key <* | id> field value [field value ...]", "XGROUP", "XGROUP CREATE key group id [MKSTREAM]",
    ]  # fmt: skip
    assert next(iter(cli.help_lines(DOCS, ["@string"]))) == "GET key"
    assert "@stream, @string" in "".join(cli.help_lines(DOCS, []))
    assert list(cli.help_lines(DOCS, ["nosuch"])) == ["nothing is known about NOSUCH"]


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Both ends of a terminal: the user's, and the program's."""
    ours, its = pty.openpty()
    yield ours, its
    os.close(ours)


async def test_the_prompt(server_url: str, terminal: tuple[int, int], tmp_path: Path) -> None:
    ours, its = terminal
    program = f"from consumers.commands.cli import main; main(['--url', {server_url!r}])"
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    process = subprocess.Popen([sys.executable, "-c", program], stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    seen = ""
    for typed, expected in (
        ("", "trimaran>"), ("SET k v\r", "OK"), ("AUTH secret\r", "(error)"), ("GET k\r", '"v"'),
        ("help get\r", "GET key"), ("exit\r", ""),
    ):  # fmt: skip
        os.write(ours, typed.encode())
        seen = ""
        while expected not in seen:
            seen += (await _read(ours)).decode(errors="replace")
    assert process.wait(60) == 0
    history = (tmp_path / "trimaran/cli_history").read_text()
    assert "SET k v" in history and "secret" not in history


async def test_a_prompt_without_its_library(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "consumers.commands.cli_prompt", None)
    with pytest.raises(CommandError, match=r"pip install 'trimaran\[ui\]'"):
        async with open_link(client, "") as link:
            await cli._Shell(link, Kept(), as_json=False).prompt()


async def _read(descriptor: int) -> bytes:
    import trio

    with trio.fail_after(60):
        await trio.lowlevel.wait_readable(descriptor)
    return os.read(descriptor, 1 << 16)
