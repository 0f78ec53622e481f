"""The delay between attempts, and what is tried again at all."""

import anyio
import pytest
import trio
from anyio.lowlevel import checkpoint
from coredis.exceptions import AuthorizationError, ConnectionError

from consumers.retry import RECONNECT, Backoff, persist, suppress_transient

STEADY = Backoff(initial=1, factor=2, max=10, jitter=False)


def test_the_delay_grows_to_its_longest() -> None:
    assert [STEADY.delay(attempt) for attempt in (1, 2, 3, 4, 5, 6)] == [1, 2, 4, 8, 10, 10]
    assert STEADY.delay(10**6) == 10


def test_jitter_takes_up_to_half_off() -> None:
    delays = {Backoff(initial=8, jitter=True).delay(1) for _ in range(200)}
    assert len(delays) > 100 and 4 <= min(delays) < 5 and 7 < max(delays) <= 8


@pytest.mark.parametrize("wrong", [{"initial": -1}, {"max": -1}, {"factor": 0.5}])
def test_impossible_curves_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Backoff(**wrong)  # type: ignore[arg-type]


class Server:
    """It raises these errors, one at each attempt, and answers then."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[float] = []

    async def ask(self) -> str:
        await checkpoint()
        self.asked.append(round(anyio.current_time(), 6))
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def test_what_passes_by_itself_is_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    server = Server(ConnectionError("cut"), TimeoutError(), OSError())
    noted: list[tuple[str, int, float]] = []

    def note(error: Exception, failures: int, delay: float) -> None:
        noted.append((str(error), failures, delay))

    begun = round(anyio.current_time(), 6)
    assert await persist(server.ask, STEADY, failed=note) == "answer"
    assert [moment - begun for moment in server.asked] == [0, 1, 3, 7]
    assert noted == [("cut", 1, 1), ("", 2, 2), ("", 3, 4)]


async def test_a_refusal_is_raised_at_once_and_not_noted(autojump_clock: trio.testing.MockClock) -> None:
    server = Server(ConnectionError("cut"), AuthorizationError("NOPERM"))
    noted: list[int] = []
    with pytest.raises(AuthorizationError):
        await persist(server.ask, RECONNECT, failed=lambda error, failures, delay: noted.append(failures))
    assert len(server.asked) == 2 and noted == [1]


async def test_a_caller_may_say_what_passes(autojump_clock: trio.testing.MockClock) -> None:
    server = Server(LookupError("missing"), LookupError("missing"))
    assert await persist(server.ask, passing=lambda error: isinstance(error, LookupError)) == "answer"
    with pytest.raises(ConnectionError):
        await persist(Server(ConnectionError("cut")).ask, passing=lambda error: False)


async def test_waiting_for_the_next_attempt_can_be_cancelled(autojump_clock: trio.testing.MockClock) -> None:
    server = Server(*[ConnectionError("cut")] * 10)
    with anyio.move_on_after(5) as scope:
        await persist(server.ask, STEADY)
    assert scope.cancelled_caught and len(server.asked) == 3


def test_only_what_passes_by_itself_is_suppressed() -> None:
    ended = False
    with suppress_transient():
        raise ConnectionError("cut")
    with suppress_transient():
        ended = True
    assert ended
    with pytest.raises(AuthorizationError), suppress_transient():
        raise AuthorizationError("NOPERM")
    with pytest.raises(KeyboardInterrupt), suppress_transient():
        raise KeyboardInterrupt
