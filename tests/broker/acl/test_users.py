"""All users: where they come from, and loading them again."""

from pathlib import Path

import pytest

from broker.acl.file import AclFileError
from broker.acl.users import Users
from broker.commands import command_table
from broker.config import Config
from broker.process.clock import Clock

command_table()  # rules name commands


def users(**directives: object) -> Users:
    config = Config()
    for name, value in directives.items():
        setattr(config, name, value)
    return Users(config, Clock())


def test_alone_there_is_the_default_user() -> None:
    made = users()
    assert [user.name for user in made] == [b"default"]
    assert made.default.has_all_rights
    assert not made.login_required()


def test_requirepass_is_the_default_users_password() -> None:
    made = users(requirepass=b"secret")
    assert made.login_required()
    assert made.default.accepts(b"secret")
    made.set_default_password(b"")
    assert not made.login_required()
    assert made.default.accepts(b"whatever")
    made.default.apply(b"off")
    assert made.login_required()


def test_declared_users() -> None:
    made = users(users=[[b"b", b"on", b">p", b"(+get", b"~a)"], [b"default", b"on", b">x", b"+get"], [b"a"]])
    assert [user.name for user in made] == [b"a", b"b", b"default"]
    assert made[b"b"].accepts(b"p")
    assert len(made[b"b"].selectors) == 2
    assert not made.default.has_all_rights


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([[b"a", b"nothing"]], "Error loading ACL rule 'nothing' for the user named 'a': Syntax error"),
        ([[b"a"], [b"a"]], "Duplicate user found"),
        ([[b"a b"]], "Spaces not allowed in ACL usernames"),
        ([[b"a", b"(+get"]], "unmatched parenthesis in '\\(\\+get'"),
        ([[b"a", b"#secret"]], "Error loading ACL rule a password"),
    ],
)
def test_declarations_that_cannot_be(lines: list[list[bytes]], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        users(users=lines)


def test_two_sources_are_refused(tmp_path: Path) -> None:
    (tmp_path / "users.acl").write_text("user a on\n")
    with pytest.raises(ValueError, match="please define either an ACL file or declare users directly"):
        users(dir=str(tmp_path), aclfile="users.acl", users=[[b"b"]])


def test_the_acl_file_is_loaded_again_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "users.acl"
    path.write_text("user a on >p\nuser default on >d +get\n")
    made = users(dir=str(tmp_path), aclfile="users.acl", requirepass=b"ignored")
    default = made.default
    assert default.accepts(b"d")
    assert not default.accepts(b"ignored")
    path.write_text("user b on\nuser c nothing\n")
    with pytest.raises(AclFileError):
        made.load()
    assert [user.name for user in made] == [b"a", b"default"]
    path.write_text("user b on\n")
    made.load()
    assert [user.name for user in made] == [b"b", b"default"]
    assert made.default is default
    assert default.has_all_rights
    made.remove(b"b")
    made.save()
    assert path.read_text() == "user default on nopass sanitize-payload ~* &* +@all\n"


def test_a_damaged_acl_file_prevents_the_start(tmp_path: Path) -> None:
    (tmp_path / "users.acl").write_text("nothing\n")
    with pytest.raises(ValueError, match="Aborting startup because of ACL errors"):
        users(dir=str(tmp_path), aclfile="users.acl")
