"""Redaction: no secret is left, and nothing else is hidden."""

import pytest

from broker.observation.redaction import redacted


@pytest.mark.parametrize(
    ("request_", "shown"),
    [
        ("auth pw", "auth *"),
        ("AUTH me pw", "AUTH * *"),
        ("auth my pass word", "auth * * *"),
        ("hello", "hello"),
        ("hello 3 auth me pw setname n", "hello 3 auth * * setname n"),
        ("hello 3 setname auth AUTH me pw", "hello 3 setname auth AUTH * *"),
        ("hello 3 auth me", "hello 3 auth *"),
        ("config set maxclients 1 RequirePass pw masteruser me", "config set maxclients 1 RequirePass * masteruser *"),
        ("config set tls-key-file-pass pw nosuch x tls-client-key-file-pass pw dir",
         "config set tls-key-file-pass * nosuch x tls-client-key-file-pass * dir"),
        ("config set requirepass", "config set requirepass"),
        ("config get requirepass", "config get requirepass"),
        ("acl setuser me >pw +@all", "acl setuser * * *"),
        ("acl getuser me", "acl getuser *"),
        ("acl deluser me you", "acl deluser * *"),
        ("acl whoami", "acl whoami"),
        ("migrate h 1 auth 0 1 copy AUTH pw keys a", "migrate h 1 auth 0 1 copy AUTH * keys a"),
        ("migrate h 1 k 0 1 auth2 me pw", "migrate h 1 k 0 1 auth2 * *"),
        ("get auth", "get auth"),
    ],
)  # fmt: skip
def test_what_is_shown(request_: str, shown: str) -> None:
    args = request_.encode().split()
    name = b"|".join(args[:2]).lower() if args[0] in (b"config", b"acl") else args[0].lower()
    before = list(args)
    found = [b"*" if argument == b"(redacted)" else argument for argument in redacted(name, args)]
    assert b" ".join(found).decode() == shown
    assert args == before
