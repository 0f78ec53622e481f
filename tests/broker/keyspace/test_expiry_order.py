"""Deadlines kept and given up: beside a model, whatever is set, moved, dropped, or falls due meanwhile."""

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.keyspace.expiry import remove_due
from broker.process.clock import Clock
from tests.broker.sessions import make_broker


class SetClock(Clock):
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = 1000

    def update(self) -> int:
        return self.now


_keys = st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("expire"), _keys, st.integers(0, 12)),
        st.tuples(st.just("expire"), _keys, st.integers(0, 12)),
        st.tuples(st.just("persist"), _keys, st.just(0)),
        st.tuples(st.just("delete"), _keys, st.just(0)),
        st.tuples(st.just("swap"), _keys, st.just(0)),
        st.tuples(st.just("clear"), _keys, st.just(0)),
        st.tuples(st.just("pass"), _keys, st.integers(0, 8)),
        st.tuples(st.just("bounded"), _keys, st.integers(0, 8)),
        st.tuples(st.just("again and again"), _keys, st.integers(0, 12)),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(_steps)
def test_what_is_due_goes(steps: list[tuple[str, bytes, int]]) -> None:
    clock = SetClock()
    keyspace = make_broker(clock).keyspace
    db, other = keyspace.databases[0], keyspace.databases[1]
    model: dict[bytes, int] = {}
    for step, key, number in steps:
        if step == "expire":
            db.set(key, b"v")
            db.expire_at(key, clock.now + number)
            model[key] = clock.now + number
        elif step == "again and again" and key in db.data:
            for more in range(200):
                model[key] = clock.now + (number + more) % 13
                db.expire_at(key, model[key])
            assert len(db.deadlines) <= 2 * len(model) + 65
        elif step == "persist":
            db.persist(key)
            model.pop(key, None)
        elif step == "delete":
            db.delete(key)
            model.pop(key, None)
        elif step == "swap":
            db.swap(other)
            db.swap(other)
        elif step == "clear":
            db.clear()
            model.clear()
        elif step in ("pass", "bounded"):
            clock.now += number
            due = {key for key, when in model.items() if when < clock.now}
            while True:
                before = len(db.expires)
                looked_at = remove_due(db, clock.now, 1 if step == "bounded" else 1000)
                assert before - len(db.expires) <= looked_at
                if not looked_at:
                    break
            for gone in due:
                del model[gone]
        assert db.expires == model
        assert len(db.deadlines) >= len(model)
        assert db.deadlines.next_deadline() <= min(model.values(), default=1 << 62)
    clock.now += 100
    remove_due(db, clock.now, 100_000)
    assert len(db.deadlines) == 0 and not db.expires
