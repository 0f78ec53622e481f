"""MODULE: none, and none can be loaded."""

import pytest

from broker.commands.server import modules
from tests.broker.sessions import make_broker, make_session, run

COMMANDS = ("MODULE LOAD /x.so", "MODULE LOADEX /x.so ARGS a", "MODULE UNLOAD x")


def test_none_is_loaded() -> None:
    assert run(make_session(make_broker()), "MODULE LIST") == b"*0\r\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_changing_them_must_be_allowed(command: str) -> None:
    assert run(make_session(make_broker()), command) == b"-" + modules.NOT_ALLOWED + b"\r\n"
    session = make_session(make_broker(enable_module_command="local"))
    refusal = modules.NO_SUCH_MODULE if "UNLOAD" in command else modules.NOT_LOADED
    assert run(session, command) == b"-" + refusal + b"\r\n"
