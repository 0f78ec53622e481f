"""What is declared in a queue is checked at once."""

import pytest

from consumers.jobs import Queue
from consumers.jobs.registry import Registry


def test_mistakes_in_a_declaration_are_told_at_once() -> None:
    queue = Queue("q")

    async def work(delay: int) -> None: ...
    async def good(n: int) -> None: ...

    with pytest.raises(TypeError, match="work: enqueue\\(\\) takes delay itself, choose another name"):
        queue.job()(work)
    with pytest.raises(TypeError, match="good has no parameter m"):
        queue.job(limit=1, limit_by="m")(good)
    with pytest.raises(ValueError, match="limit_by needs a limit"):
        queue.job(limit_by="n")(good)
    with pytest.raises(ValueError, match="'x' is not one of the priorities"):
        queue.job(priority="x")(good)
    with pytest.raises(ValueError, match="is not a cron expression"):
        queue.job(cron="61 * * * *", name="other")(good)
    queue.job()(good)
    with pytest.raises(ValueError, match="the queue q has a job 'good' already"):
        queue.job()(good)
    for arguments in ({"retries": -1}, {"timeout": 0}, {"limit": 0}, {"keep_result": -1}, {"crashes": -1}):
        with pytest.raises(ValueError):
            queue.job(name="bad", **arguments)(good)
    for name in ("", "a{b", "}"):
        with pytest.raises(ValueError):
            Queue(name)
    with pytest.raises(ValueError):
        Queue("q", priorities=("dead",))
    with pytest.raises(ValueError, match="""loop is "asyncio", "trio" or None, not 'uvloop'"""):
        Queue("q", loop="uvloop")  # type: ignore[arg-type]


def test_a_registry_is_part_of_a_queue() -> None:
    queue = Queue("q", priorities=["urgent", "rest"])
    assert isinstance(queue, Registry)
    assert queue.default_priority == "rest"
    with pytest.raises(TypeError):
        Registry("q", ["only"], 0, ())  # type: ignore[abstract]
