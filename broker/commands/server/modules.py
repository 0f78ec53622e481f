"""MODULE: there are no modules, since those of Redis are C libraries for the inside of redis-server."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.help import declare_help
from broker.table.command import ADMIN, NO_ASYNC_LOADING, NOSCRIPT, PROTECTED, command, container
from protocol.errors import CommandError
from protocol.replies import EMPTY_ARRAY

NOT_ALLOWED: Final = (
    b'ERR MODULE command not allowed. If the enable-module-command option is set to "local", you can run it from a'
    b" local connection, otherwise you need to set this option in the configuration file, and then restart the server."
)
NOT_LOADED: Final = b"ERR Error loading the extension. Please check the server logs."
NO_SUCH_MODULE: Final = b"ERR Error unloading module: no such module with that name"

_CHANGES: Final = ADMIN | NOSCRIPT | NO_ASYNC_LOADING | PROTECTED

container("MODULE", group="server", since="4.0.0", summary="A container for commands about modules.")

declare_help(
    "MODULE",
    group="server",
    since="5.0.0",
    usage={
        "LOAD": "<path> [<arg> ...]",
        "LOADEX": "<path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
        "UNLOAD": "<name>",
    },
)


@command("MODULE|LIST", arity=2, flags=ADMIN | NOSCRIPT, group="server", since="4.0.0",
         summary="Returns the modules: there are none.", complexity="O(1)",
         tips=("nondeterministic_output_order",))  # fmt: skip
def module_list(session: Client, args: list[bytes]) -> bytes:
    return EMPTY_ARRAY


@command("MODULE|LOAD", arity=-3, flags=_CHANGES, group="server", since="4.0.0", syntax="path [arg ...]",
         summary="Refused: modules can't be loaded.", complexity="O(1)")  # fmt: skip
def module_load(session: Client, args: list[bytes]) -> bytes:
    return _load(session, args[2])


@command("MODULE|LOADEX", arity=-3, flags=_CHANGES, group="server", since="7.0.0",
         syntax="path configs=[CONFIG name value]... args=[ARGS args ...]",
         summary="Refused: modules can't be loaded.", complexity="O(1)")  # fmt: skip
def module_loadex(session: Client, args: list[bytes]) -> bytes:
    return _load(session, args[2])


def _load(session: Client, path: bytes) -> bytes:
    _check_allowed(session)
    session.broker.log.warning("a module can't be loaded: this broker has none of redis-server's insides", path=path)
    raise CommandError(NOT_LOADED)


@command("MODULE|UNLOAD", arity=3, flags=_CHANGES, group="server", since="4.0.0", syntax="name",
         summary="Refused: there are no modules.", complexity="O(1)")  # fmt: skip
def module_unload(session: Client, args: list[bytes]) -> bytes:
    _check_allowed(session)
    raise CommandError(NO_SUCH_MODULE)


def _check_allowed(session: Client) -> None:
    config = session.broker.config
    if not config.allows(config.enable_module_command, session.transport.is_local()):
        raise CommandError(NOT_ALLOWED)
