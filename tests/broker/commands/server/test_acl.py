"""ACL with files and configurations; all else is compared with Redis in tests/oracle/test_acl.py."""

from pathlib import Path

import pytest

from broker import open_broker
from broker.config import Config
from broker.config.reading import load
from broker.network.listeners import StartError
from tests.broker.inprocess import Client, running


async def test_the_acl_file_is_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\nuser u on >p +ping\n")
    async with running({"dir": str(tmp_path), "aclfile": "users.acl", "save": ""}) as broker:
        admin, client = await broker.client(), await broker.client()
        assert await client.call("AUTH u p") == b"+OK\r\n"
        assert await client.call("GET k") == b"-NOPERM User u has no permissions to run the 'get' command\r\n"
        await admin.call("ACL SETUSER v on (+get ~a)")
        assert await admin.call("ACL SAVE") == b"+OK\r\n"
        assert path.read_text().splitlines()[2] == (
            "user v on sanitize-payload resetchannels -@all (~a resetchannels -@all +get)"
        )
        path.write_text("user u on >p +get ~k\nuser default on nopass ~* &* +@all\n")
        assert await admin.call("ACL LOAD") == b"+OK\r\n"
        assert await client.call("GET k") == b"$-1\r\n"
        path.write_text("user u on\nnothing\n")
        assert (await admin.call("ACL LOAD")).endswith(
            b"no change to the previously active ACL rules was performed\r\n"
        )
        assert await client.call("GET k") == b"$-1\r\n"
        path.write_text("user default on nopass ~* &* +@all\n")
        assert await admin.call("ACL LOAD") == b"+OK\r\n"
        assert await client.receive() == b""
        path.unlink()
        assert (await admin.call("ACL LOAD")).startswith(b"-ERR Error loading ACLs, opening file")


async def test_an_acl_file_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "acl"
    folder.mkdir()
    path = folder / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\n")
    async with running({"dir": str(tmp_path), "aclfile": str(path), "save": ""}) as broker:
        admin = await broker.client()
        path.unlink()
        folder.rmdir()
        assert (await admin.call("ACL SAVE")).startswith(b"-ERR There was an error trying to save the ACLs.")


async def test_users_survive_config_rewrite(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    path.write_text(f"dir {tmp_path}\nport 0\nsave ''\nuser u on >p +ping\n")
    config = Config()
    load(config, [str(path).encode()])
    async with open_broker(config=config) as server:
        users = server.broker.users
        assert users[b"u"].accepts(b"p")
        admin = Client(await server.connect())
        await admin.call("ACL SETUSER v on >q ~a")
        assert await admin.call("CONFIG REWRITE") == b"+OK\r\n"
        printed = {user.name: user.describe() for user in users}
        await admin.stream.aclose()
    again = Config()
    load(again, [str(path).encode()])
    async with open_broker(config=again) as server:
        assert {user.name: user.describe() for user in server.broker.users} == printed


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("user u nothing\n", "Error loading ACL rule 'nothing' for the user named 'u': Syntax error"),
        ("aclfile none.acl\n", "Aborting startup because of ACL errors: Error loading ACLs, opening file"),
        ("aclfile none.acl\nuser u on\n", "please define either an ACL file or declare users"),
    ],
)
async def test_mistakes_prevent_the_start(tmp_path: Path, lines: str, reason: str) -> None:
    path = tmp_path / "redis.conf"
    path.write_text(f"dir {tmp_path}\nport 0\nsave ''\n{lines}")
    config = Config()
    load(config, [str(path).encode()])
    with pytest.raises(StartError, match=reason):
        async with open_broker(config=config):
            pass


async def test_renamed_commands_keep_their_name_in_rules() -> None:
    config = Config()
    config.port, config.save = 0, ()
    config.renamed_commands = [(b"get", b"fetch"), (b"keys", b"")]
    async with open_broker(config=config) as server:
        admin, client = Client(await server.connect()), Client(await server.connect())
        assert await admin.call("ACL SETUSER u on nopass +@all ~* &* -get -keys") == b"+OK\r\n"
        await client.call("AUTH u x")
        assert await client.call("FETCH k") == b"-NOPERM User u has no permissions to run the 'get' command\r\n"
        await client.call("AUTH default x")
        assert await client.call("FETCH k") == b"$-1\r\n"
        for each in (admin, client):
            await each.stream.aclose()
