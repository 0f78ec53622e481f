"""redis-py's methods for users and permissions."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.oracle.servers import Server, free_port, start

HASH = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
"""SHA-256 of `password`."""

ONCE = Retry(NoBackoff(), 0)
COMMANDS = ["+get", "+acl|whoami", "+client|setinfo"]


@pytest.fixture(params=[2, 3], ids=["RESP2", "RESP3"])
def admin(request: pytest.FixtureRequest, port: int) -> Iterator[redis.Redis]:
    with redis.Redis(port=port, protocol=request.param, socket_timeout=60, decode_responses=True) as client:
        client.acl_log_reset()
        yield client
        client.acl_deluser("app", "other")
        client.acl_log_reset()


def test_a_user_is_made_and_shown(admin: redis.Redis) -> None:
    assert admin.acl_setuser(
        "app", enabled=True, passwords=["+password"], commands=["+get", "+set", "-@dangerous", "+config|get"],
        keys=["cache:*"], channels=["news:*"], selectors=[("+del", "%W~old:*")],
    )  # fmt: skip
    user = admin.acl_getuser("app")
    assert {"on", "sanitize-payload"} <= set(user["flags"])
    assert user["passwords"] == [HASH] and user["enabled"]
    assert user["categories"] == ["-@all", "-@dangerous"] and user["commands"] == ["+get", "+set", "+config|get"]
    assert user["keys"] == ["~cache:*"] and user["channels"] == ["&news:*"]
    (selector,) = user["selectors"]
    selector = selector if isinstance(selector, list) else [part for pair in selector.items() for part in pair]
    assert "%W~old:*" in selector and "-@all +del" in selector
    assert admin.acl_users() == ["app", "default"]
    line = next(line for line in admin.acl_list() if line.startswith("user app "))
    assert f"on sanitize-payload #{HASH} ~cache:* resetchannels &news:* -@all" in line
    assert admin.acl_getuser("nobody") is None


def test_passwords_are_added_and_removed(admin: redis.Redis) -> None:
    assert admin.acl_setuser("app", enabled=True, hashed_passwords=["+" + HASH], passwords=["+other"])
    assert len(admin.acl_getuser("app")["passwords"]) == 2
    assert admin.acl_setuser("app", enabled=True, passwords=["-other"], reset_passwords=False)
    assert admin.acl_getuser("app")["passwords"] == [HASH]
    assert admin.acl_setuser("app", enabled=True, nopass=True)
    assert "nopass" in admin.acl_getuser("app")["flags"]
    assert admin.acl_setuser("app", reset=True)
    user = admin.acl_getuser("app")
    assert not user["enabled"] and user["passwords"] == [] and user["commands"] == []
    with pytest.raises(redis.ResponseError, match="Error in ACL SETUSER modifier"):
        admin.acl_setuser("app", enabled=True, commands=["+nosuch"])


def test_what_the_user_may_do(admin: redis.Redis, port: int) -> None:
    admin.acl_setuser("app", enabled=True, passwords=["+password"], commands=COMMANDS, keys=["cache:*"])
    with redis.Redis(port=port, username="app", password="password", decode_responses=True) as client:
        assert client.acl_whoami() == "app"
        assert client.get("cache:1") is None
        with pytest.raises(redis.exceptions.NoPermissionError, match="No permissions to access a key"):
            client.get("other")
        with pytest.raises(redis.exceptions.NoPermissionError, match="has no permissions to run the 'set' command"):
            client.set("cache:1", "x")
    # by default it would try again for seconds
    another = redis.Redis(port=port, username="app", password="wrong", retry=ONCE)
    with pytest.raises(redis.AuthenticationError), another as client:
        client.ping()
    log = admin.acl_log()
    assert [(entry["reason"], entry["object"], entry["username"]) for entry in log] == [
        ("auth", "HELLO", "app"),
        ("command", "set", "app"),
        ("key", "other", "app"),
    ]
    assert log[1]["count"] == 1
    assert isinstance(log[0]["age-seconds"], float) and "app" in str(log[1]["client-info"])
    assert len(admin.acl_log(count=1)) == 1
    assert admin.acl_log_reset() and admin.acl_log() == []


def test_trying_without_doing(admin: redis.Redis) -> None:
    admin.acl_setuser("app", enabled=True, nopass=True, commands=["+get"], keys=["cache:*"])
    assert admin.acl_dryrun("app", "get", "cache:1") == "OK"
    assert "no permissions to access the 'x' key" in admin.acl_dryrun("app", "get", "x")
    assert "no permissions to run the 'del' command" in admin.acl_dryrun("app", "del", "x")
    with pytest.raises(redis.ResponseError, match="not found"):
        admin.acl_dryrun("nobody", "get", "x")


def test_what_needs_no_user(admin: redis.Redis) -> None:
    assert admin.acl_whoami() == "default"
    assert len(admin.acl_genpass()) == 64 and len(admin.acl_genpass(10)) == 3
    assert {"read", "write", "dangerous"} <= set(admin.acl_cat())
    assert "get" in admin.acl_cat("read") and "flushall" in admin.acl_cat("dangerous")
    assert any("SETUSER" in line for line in admin.acl_help())
    with pytest.raises(redis.ResponseError, match="Unknown category"):
        admin.acl_cat("nosuch")


def test_a_closed_user_s_clients(admin: redis.Redis, port: int) -> None:
    admin.acl_setuser("app", enabled=True, nopass=True, commands=["+@all"])
    with redis.Redis(port=port, username="app", password="x", retry=None) as client:
        assert client.ping()
        assert admin.acl_deluser("app", "nobody") == 1
        with pytest.raises(redis.RedisError):
            client.ping()


def test_without_a_file_there_is_nothing_to_load_or_save(admin: redis.Redis) -> None:
    for method in (admin.acl_load, admin.acl_save):
        with pytest.raises(redis.ResponseError, match="not configured to use an ACL file"):
            method()


@pytest.fixture
def with_file(tmp_path: Path) -> Iterator[Server]:
    path = tmp_path / "users.acl"
    path.write_text("user default on nopass ~* &* +@all\n")
    port = free_port()
    command = [sys.executable, "-m", "broker", "serve", "--port", str(port), "--bind", "127.0.0.1"]
    server = start("broker", [*command, "--save", "", "--aclfile", str(path)], port)
    yield server
    server.stop()


def test_a_file_of_users(with_file: Server, tmp_path: Path) -> None:
    path = tmp_path / "users.acl"
    with redis.Redis(port=with_file.address[1], decode_responses=True) as client:
        client.acl_setuser("app", enabled=True, passwords=["+password"], commands=["+get"], keys=["*"])
        assert client.acl_save()
        assert f"user app on sanitize-payload #{HASH} ~* resetchannels -@all +get\n" in path.read_text()
        client.acl_deluser("app")
        assert client.acl_load()
        assert client.acl_users() == ["app", "default"]
        path.write_text("user default on nopass ~* &* +@all\nuser app on +nosuch\n")
        with pytest.raises(redis.ResponseError, match=r"users\.acl:2"):
            client.acl_load()
        assert client.acl_users() == ["app", "default"]
