"""What is found out about the server."""

from typing import Any

from consumers.capabilities import LEAST, Capabilities, detect
from consumers.connection import open_link
from tests.consumers.streams.running import Client


async def test_each_server_says_what_it_can(client: Client, server_kind: str) -> None:
    expected = LEAST if server_kind == "redis-older" else Capabilities(True, True, True)
    async with open_link(client, "s") as link:
        assert await detect(link) == expected


class Silent:
    """A link to a server that permits no questions."""

    async def execute(self, commands: Any) -> list[Any]:
        from coredis.exceptions import AuthorizationError

        return [AuthorizationError("no permission") for _ in commands]


async def test_a_server_that_says_nothing_can_do_the_least() -> None:
    link: Any = Silent()
    assert await detect(link) == LEAST
