"""A broker for each test, in the test's own process."""

from collections.abc import AsyncIterator

import pytest

import broker
from tests.hostile.clients import assert_serves


@pytest.fixture
async def server() -> AsyncIterator[broker.Server]:
    """A broker with the defaults, which must still serve when the test is over."""
    async with broker.open_broker() as running:
        yield running
        await assert_serves(running)
