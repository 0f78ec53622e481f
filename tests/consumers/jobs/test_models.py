"""pydantic's models and attrs classes as arguments and results."""

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import attrs
import coredis
import msgspec
import pydantic
import pytest
from pydantic import (
    AfterValidator,
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PostgresDsn,
    RootModel,
    SecretStr,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

from consumers.jobs import JobFailed, Queue, Worker
from consumers.jobs.payloads import Arguments, decoder, encode, place
from tests.consumers.jobs.working import dead

pytestmark = pytest.mark.both_loops

Client = coredis.Redis[bytes]


class Line(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)
    id: UUID
    price: Decimal = Field(alias="Price", gt=0)


class Order(BaseModel):
    at: datetime
    lines: list[Line]
    url: AnyUrl = AnyUrl("http://a/")
    store: PostgresDsn | None = None
    every: timedelta = timedelta(days=1)
    raw: bytes = b"\xff"
    tags: set[str] = set()


class Words(RootModel[list[str]]):
    pass


@attrs.define
class Point:
    x: int = attrs.field(validator=attrs.validators.gt(0))
    lines: list[Line] = attrs.field(factory=list)


LINE = Line(id=UUID(int=7), Price=Decimal("1.10"))
ORDER = Order(
    at=datetime(2026, 1, 2, tzinfo=UTC), lines=[LINE], url=AnyUrl("http://b/c?d"), tags={"a"},
    store=PostgresDsn("postgresql://u:p@a:1,b:2/db"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Line, LINE),
        (Order, ORDER),
        (list[Order] | None, [ORDER]),
        (dict[str, Line], {"a": LINE}),
        (Words, Words(["a", "b"])),
        (Point, Point(1, [LINE])),
    ],
)
def test_they_come_back_as_they_were(annotation: Any, value: Any) -> None:
    back = decoder(annotation)(encode(value))
    assert back == value and type(back) is type(value)


def test_without_an_annotation_they_are_plain_data_and_make_a_job_unique() -> None:
    assert decoder(Any)(encode(LINE)) == {"id": str(LINE.id), "Price": "1.10"}
    assert decoder(Line)(encode({"id": str(LINE.id), "price": "1.10"})) == LINE
    assert place([LINE]) == place([LINE.model_copy()]) != place([LINE.model_copy(update={"price": Decimal(2)})])


class Several(BaseModel):
    a: int
    b: int
    c: int
    d: int
    e: int
    f: int


class Whole(BaseModel):
    n: int

    @pydantic.model_validator(mode="after")
    def check(self) -> "Whole":
        if self.n < 0:
            raise ValueError("too few")
        return self


@pytest.mark.parametrize(
    ("annotation", "data", "text"),
    [
        (
            dict[str, Line], {"a": {"Price": 0}},
            r"id: Field required; Price: Input should be greater than 0 - at `\$\[...\]`",
        ),
        (Several, {}, "a: Field required; b: Field required; .*; e: Field required; and 1 more"),
        (Whole, {"n": -1}, "Value error, too few"),
        (Order, 5, "Input should be a valid dictionary or instance of Order"),
        (Point, {"x": 0}, "'x' must be > 0: 0"),
        (Point, {"x": "1"}, r"Expected `int`, got `str` - at `\$\.x`"),
    ],
)  # fmt: skip
def test_what_is_not_valid_is_told_in_a_line(annotation: Any, data: Any, text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"^{text}$"):
        decoder(annotation)(encode(data))


def _lower(word: str) -> str:
    if not word.isalpha():
        raise ValueError("not a word")
    return word.lower()


Word = Annotated[str, AfterValidator(_lower)]


def _constrained(
    n: Annotated[int, Field(gt=0, lt=10)],
    words: list[Word] | None = None,
    half: PositiveFloat | None = None,
    order: Any = None,
) -> Annotated[int, Field(lt=0)]:
    raise NotImplementedError


def test_constraints_of_parameters_are_checked_on_arrival() -> None:
    arguments = Arguments(_constrained, "constrained")
    assert arguments.unpack(encode({"n": 1, "words": ["A", "b"], "order": {"n": -1}})) == {
        "n": 1, "words": ["a", "b"], "order": {"n": -1},
    }  # fmt: skip
    assert arguments.unpack(encode({"n": 1, "half": 0.5})) == {"n": 1, "half": 0.5}
    # the result is the function's own affair
    assert arguments.decode_result(encode(5)) == 5


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"n": 0}, r"Input should be greater than 0 - at `\$.n`"),
        ({"n": 10}, r"Input should be less than 10 - at `\$.n`"),
        ({"n": 1, "words": ["a", "1"]}, r"1: Value error, not a word - at `\$.words`"),
        ({"n": 1, "half": -0.5}, r"Input should be greater than 0 - at `\$.half`"),
        ({"n": "1"}, r"Expected `int`, got `str` - at `\$.n`"),
    ],
)
def test_an_argument_outside_its_constraints_is_not_valid(given: dict[str, Any], text: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=f"^{text}$"):
        Arguments(_constrained, "constrained").unpack(encode(given))


def test_constraints_that_can_not_be_checked_are_refused() -> None:
    def points(some: Annotated[list[Point], Field(min_length=1)]) -> None: ...

    with pytest.raises(TypeError, match=r"^the job points: the parameter 'some' can't be decoded: Unable to generate"):
        Arguments(points, "points")


def test_what_would_arrive_changed_is_refused() -> None:
    @pydantic_dataclass
    class Checked:
        n: int = Field(gt=0)

    @attrs.define
    class Private:
        _n: int

    def checked(one: list[Checked]) -> None: ...
    def private() -> Private:
        raise NotImplementedError

    with pytest.raises(
        TypeError, match=r"the parameter 'one' is annotated with Checked, a dataclass of pydantic's, wh"
    ):
        Arguments(checked, "checked").names  # noqa: B018
    with pytest.raises(
        TypeError, match=r"return value is annotated with Private, whose private attribute _n would not"
    ):
        Arguments(private, "private").names  # noqa: B018

    class Hidden(BaseModel):
        word: SecretStr

    with pytest.raises(TypeError, match=r"^SecretStr is not data that a job can carry$"):
        encode(Hidden(word=SecretStr("x")))


@pytest.fixture
async def queue(client: Client) -> AsyncIterator[Queue]:
    async with Queue("q").open(client) as opened:
        yield opened


@pytest.mark.parametrize("server_kind", ["broker"], indirect=True)  # no server has a part in this
async def test_a_job_gets_and_returns_them_and_is_dead_at_once_if_they_are_not_valid(queue: Queue) -> None:
    @queue.job(limit=1, limit_by="order")
    async def ship(order: Order, point: Point) -> list[Line]:
        assert isinstance(order, Order) and point == Point(1)
        return order.lines

    async with Worker(queue).open():
        assert await (await ship.with_options(unique=True).enqueue(ORDER, point=Point(1))).result(timeout=30) == [LINE]
        job = await ship.enqueue({"at": "x"}, Point(1))  # type: ignore[arg-type]
        with pytest.raises(JobFailed) as caught:
            await job.result(timeout=30)
    assert caught.value.attempts == 1
    (gone,) = await dead(queue)
    assert gone.reason == (
        "its arguments are not valid: at: Input should be a valid datetime or date, input is too short; "
        "lines: Field required - at `$.order`"
    )


def test_neither_library_is_imported_for_those_who_do_not_use_it() -> None:
    program = (
        "import sys; from consumers.jobs import Queue, Worker; from consumers.jobs.payloads import Arguments, encode\n"
        "def f(a: int) -> str: ...\n"
        "Arguments(f, 'f').unpack(encode({'a': 1}))\n"
        "assert not {'pydantic', 'watchfiles'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
