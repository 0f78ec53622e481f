"""What the arq workers of test_arq.py run. Runs are counted in the broker itself."""

import os
from typing import Any, ClassVar

from arq import Retry
from arq.connections import RedisSettings

SETTINGS = RedisSettings.from_dsn(os.environ.get("CLIENT_TEST_URL", "redis://127.0.0.1:6379/0"))


async def double(context: dict[str, Any], number: int) -> int:
    await context["redis"].hincrby("runs", f"double {number}", 1)
    return number * 2


async def third_time(context: dict[str, Any]) -> int:
    """Asks to be run again twice, and returns which try it was."""
    if context["job_try"] < 3:
        raise Retry(defer=0.1)
    return int(context["job_try"])


async def fails(context: dict[str, Any]) -> None:
    raise ValueError("as asked")


class WorkerSettings:
    functions: ClassVar = [double, third_time, fails]
    redis_settings = SETTINGS
    poll_delay = 0.1
    keep_result = 600
