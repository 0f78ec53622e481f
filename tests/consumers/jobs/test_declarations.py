"""What can be declared as a job, and what is told at once where it can't."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import coredis
import pytest

from consumers.jobs import JobFailed, JobTimeout, Queue, Retry, Worker
from consumers.jobs.declarations import Settings
from tests.consumers.jobs.working import SOON, dead

Client = coredis.Redis[bytes]


class Image:
    def resize(self, width: int) -> None: ...

    @staticmethod
    def blank(width: int) -> None: ...


def test_what_can_be_no_job_is_told_at_its_declaration() -> None:
    def several(*paths: str) -> None: ...

    def named(**options: int) -> None: ...

    def positional(path: str, /) -> None: ...

    def generator() -> Any:
        yield 1

    async def asynchronous() -> AsyncIterator[int]:
        yield 1

    wrong: list[tuple[Any, str]] = [
        (several, "the job {} can't be passed by name"),
        (named, "can't be passed by name"),
        (positional, "can't be passed by name"),
        (Image.resize, "is a method: its object can't be sent"),
        (Image().resize, "is a method"),
        (generator, "is a generator"),
        (asynchronous, "is a generator"),
        (5, "int is not a function"),
    ]
    for function, text in wrong:
        with pytest.raises(TypeError, match=f"the job wrong.*{text.removeprefix('the job {} ')}"):
            Queue("q").job(name="wrong")(function)
    Queue("q").job()(Image.blank)


def test_annotations_that_are_no_data_are_told_with_the_jobs_name() -> None:
    queue = Queue("q")

    @queue.job()
    def paint(image: Image) -> None: ...

    @queue.job()
    def paints(images: list[Image | None]) -> None: ...

    @queue.job()
    def later(what: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    for job, text in (
        (paint, "the job paint: the parameter 'image' is annotated with Image, which is not data"),
        (paints, "the job paints: the parameter 'images' is annotated with Image, which is not data"),
        (later, "the job later: its annotations can't be evaluated: name 'Missing' is not defined"),
    ):
        with pytest.raises(TypeError, match=text):
            job.call(1)  # type: ignore[arg-type]


def test_arguments_are_told_with_the_jobs_name() -> None:
    queue = Queue("q")

    @queue.job()
    def work(a: int, b: object = None) -> None: ...

    # a workflow may fill it in; enqueue_many can't
    call = work.call()  # type: ignore[call-arg]
    assert call.blanks is not None and call.blanks.problem == "missing a required argument: 'a'"
    with pytest.raises(TypeError, match="the job work: got an unexpected keyword argument 'c'"):
        work.call(c=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="the job work: the argument 'b': Image is not data that a job can carry"):
        work.call(1, Image())
    with pytest.raises(OverflowError, match="the job work: the argument 'a'"):
        work.call(2**70)
    with pytest.raises(ValueError, match="the job work: the argument 'b': 'utf-8' codec can't encode"):
        work.call(1, "\ud800")
    with pytest.raises(TypeError, match="at is datetime, not timedelta"):
        work.call(1, at=timedelta(1))  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="delay is float or int or timedelta, not str"):
        work.call(1, delay="1h")  # type: ignore[call-overload]


@dataclass
class Order:
    note: object
    file: Path


async def test_objects_arrive_as_plain_data_and_delays_are_timedeltas_too(client: Client) -> None:
    queue = Queue("q")

    @queue.job(timeout=timedelta(minutes=1), keep_result=timedelta(minutes=1))
    async def work(what: object, order: Order) -> dict[str, object]:
        return {"what": what, "note": order.note}

    async with queue.open(client), Worker(queue, lease=timedelta(seconds=20)).open(grace=timedelta(seconds=1)):
        with_delay = work.with_options(delay=timedelta(milliseconds=50), priority="high")
        job = await with_delay.enqueue([1, {"a": 2}], order=Order("x", Path("y")))
        assert await job.result(timeout=timedelta(seconds=5)) == {"what": [1, {"a": 2}], "note": "x"}
        call = with_delay.call(1, Order(None, Path("y")))
        assert (call.delay, call.priority) == (0.05, "high")
        (same,) = await queue.enqueue_many([work.with_options(unique=True).call(1, Order(None, Path("y")))])
        assert await same.result(timeout=30) == {"what": 1, "note": None}


@pytest.mark.parametrize("error", [int, "ValueError", (ValueError, 5)])
def test_what_is_retried_are_classes_of_exceptions(error: object) -> None:
    for name in ("retry_on", "dead_on"):
        with pytest.raises(TypeError, match=f"{name} is an exception class or a tuple of some"):
            Settings(name="a", priority="normal", **{name: error})  # type: ignore[arg-type]


def test_which_exceptions_are_retried() -> None:
    all_of_them = Settings(name="a", priority="normal")
    assert all_of_them.retries_after(ValueError()) and all_of_them.retries_after(Retry())
    some = Settings(name="a", priority="normal", retry_on=(OSError, JobTimeout), dead_on=FileNotFoundError)
    assert [some.retries_after(error) for error in (ConnectionError(), JobTimeout(), Retry())] == [True] * 3
    assert [some.retries_after(error) for error in (FileNotFoundError(), ValueError())] == [False] * 2
    none = Settings(name="a", priority="normal", dead_on=Exception)
    assert none.retries_after(Retry()) and not none.retries_after(ValueError())


async def test_a_job_is_retried_after_the_exceptions_that_it_names(client: Client) -> None:
    queue, ran = Queue("q"), list[str]()

    @queue.job(backoff=SOON, retries=2, retry_on=(OSError, JobTimeout), dead_on=FileNotFoundError, timeout=0.05)
    async def fetch(what: str) -> None:
        ran.append(what)
        match what:
            case "away":
                raise ConnectionError("away")
            case "gone":
                raise FileNotFoundError("gone")
            case "slow":
                await anyio.sleep(5)
            case "wrong":
                raise ValueError("wrong")

    async with queue.open(client), Worker(queue).open():
        jobs = {what: await fetch.enqueue(what) for what in ("away", "gone", "slow", "wrong")}
        for job in jobs.values():
            with pytest.raises(JobFailed):
                await job.result(timeout=30)
        assert {what: ran.count(what) for what in jobs} == {"away": 3, "gone": 1, "slow": 3, "wrong": 1}
        reasons = {job.arguments["what"]: job.reason for job in await dead(queue)}
    assert reasons["wrong"] == "not retried: ValueError: wrong"
    assert reasons["gone"] == "not retried: FileNotFoundError: gone"
    assert reasons["away"] == "failed 3 times: ConnectionError: away"
