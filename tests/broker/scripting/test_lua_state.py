"""A Lua state that comes and goes."""

import gc
from functools import partial

from lupa.lua51 import LuaRuntime

from broker.scripting.bridge import Bridge
from broker.scripting.lua_state import LuaState
from tests.broker.sessions import make_broker, make_session


def make(max_memory: int = 0) -> LuaState:
    broker = make_broker(lua_max_memory=max_memory)
    interruption = broker.scripting.interruption
    make_bridge = partial(
        Bridge, make_session(broker), broker.commands, broker.executor, broker.state, broker.stats, broker.log,
        interruption,
    )  # fmt: skip
    return LuaState(
        broker.config,
        interruption,
        make_bridge,
        lambda name, description, flags: None,
        broker.scripting.debugging.callables,
    )


def test_it_is_made_when_it_is_needed() -> None:
    state = make()
    assert state.sandbox is None and state.memory_used() == 0
    assert state.compile_script(b"return 1")[0] is not None
    first = state.sandbox
    assert first is not None and state.memory_used() > 0
    state.drop()
    assert state.sandbox is None and state.memory_used() == 0
    assert state.start() is state.sandbox is not first


def test_sources_that_do_not_compile() -> None:
    state = make()
    assert state.compile_script(b"return =")[0] is None
    callbacks, problem = state.load_library(b"nosuch()")
    assert callbacks is None and problem.endswith(b"nonexistent global variable 'nosuch'")
    callbacks, _ = state.load_library(b"redis.register_function('f', function() end)")
    assert list(callbacks) == [b"f"]


def test_sources_that_do_not_fit() -> None:
    state = make(32 << 20)
    assert state.compile_script(b"return [[" + b"x" * (40 << 20) + b"]]")[0] is None
    assert state.compile_script(b"return {" + b"{}," * (2 << 20) + b"}")[0] is None
    assert state.compile_script(b"return 1")[0] is not None
    assert state.has_room(1 << 20) and not state.has_room(1 << 30)


def test_dropping_frees_what_lua_holds_at_once() -> None:
    """Not when the collector comes by: it hardly ever does, and until then maxmemory would count it."""

    def runtimes() -> int:
        return sum(type(item) is LuaRuntime for item in gc.get_objects())

    gc.collect()
    before = runtimes()
    state = make()
    for source in (b"return 1", b"cjson.decode('[1]') return redis.pcall('get', KEYS[1])"):
        assert state.compile_script(source)[0] is not None
    assert runtimes() == before + 1
    gc.disable()
    try:
        state.drop()
        assert runtimes() == before
    finally:
        gc.enable()
