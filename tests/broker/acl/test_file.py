"""The ACL file: what it may contain, and the texts for what it may not."""

from pathlib import Path

import pytest

from broker.acl.file import WARNING, AclFileError, UnmatchedError, merge_selectors, read_users, write_users
from broker.acl.user import User
from broker.commands import command_table

command_table()  # rules name commands


def read(path: Path, text: str) -> dict[bytes, User]:
    path.write_text(text)
    return read_users(str(path), User(b"default"), False)


def test_users_are_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "users.acl"
    text = "# a comment\n\n  user b on >p ~a %R~b (+get ~c)\r\nuser a\nuser default on nopass ~* &* +@all"
    users = read(path, text)
    assert sorted(users) == [b"a", b"b", b"default"]
    write_users(str(path), [users[name] for name in sorted(users)])
    written = path.read_text()
    assert written.startswith("user a off sanitize-payload resetchannels -@all\nuser b on sanitize-payload #")
    assert {name: user.describe() for name, user in read(path, written).items()} == {
        name: user.describe() for name, user in users.items()
    }


def test_without_a_default_user(tmp_path: Path) -> None:
    default = User(b"default")
    path = tmp_path / "users.acl"
    path.write_text("user a on\n")
    assert read_users(str(path), default, False)[b"default"] is default


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("nothing", "{path}:2 should start with user keyword followed by the username."),
        ("user", "{path}:2 should start with user keyword followed by the username."),
        ("USER a on", "{path}:2 should start with user keyword followed by the username."),
        ("user a nothing +nothing", "{path}:2: Syntax error."),
        (
            "user a +nothing",
            "{path}:2: Error in applying operation '+nothing': Unknown command or category name in ACL.",
        ),
        ("user good on", "WARNING: Duplicate user 'good' found on line 2."),
        ("user a\tb on", "'{path}:2: username 'a\tb' contains invalid characters."),
        ("user a on (+get", "{path}:2: Unmatched parenthesis in selector definition starting at '(+get'."),
    ],
)
def test_mistakes(tmp_path: Path, line: str, mistake: str) -> None:
    path = tmp_path / "users.acl"
    with pytest.raises(AclFileError) as caught:
        read(path, f"user good on\n{line}\nuser fine on\n")
    assert caught.value.text == f"{mistake.format(path=path)} ".encode() + WARNING


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AclFileError, match=r"Error loading ACLs, opening file '.*none': No such file or directory"):
        read_users(str(tmp_path / "none"), User(b"default"), False)


def test_merging_the_words_of_selectors() -> None:
    assert merge_selectors([b"on", b"(+get", b"~a)", b"()", b"off"]) == [b"on", b"(+get ~a)", b"()", b"off"]
    with pytest.raises(UnmatchedError) as caught:
        merge_selectors([b"on", b"(+get", b"~a"])
    assert caught.value.at == 1
