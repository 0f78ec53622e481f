"""CLIENT: naming, listing, closing, pausing and unblocking connections (tracking is in tracking.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from broker.broker import Client
from broker.clients.describing import CLIENT_TYPES, ClientType, client_line, client_type
from broker.clients.session import CLOSING, REPLY_OFF, REPLY_SKIP, REPLY_SKIP_NEXT
from broker.commands.clients.connection import CLIENT_NAME, check_attribute
from broker.commands.help import declare_help
from broker.table.arguments import integer, timeout_milliseconds
from broker.table.command import ADMIN, ALLOW_BUSY, LOADING, NOSCRIPT, STALE, command, container
from broker.table.parsers import Parser
from protocol.errors import SYNTAX, UNBLOCKED, CommandError, wrong_form
from protocol.replies import NO_REPLY, OK, ONE, ZERO, bulk
from protocol.replies import integer as integer_reply

PAUSE_MODE: Final = b"ERR CLIENT PAUSE mode must be WRITE or ALL"
UNBLOCK_REASON: Final = b"ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
NO_SUCH_CLIENT: Final = b"ERR No such client"
CLIENT_ID: Final = b"ERR Invalid client ID"
CLIENT_ID_NOT_POSITIVE: Final = b"ERR client-id should be greater than 0"
NO_IMPORT_MODE: Final = b"ERR Server is not in import mode"
MAX_AGE: Final = b"ERR maxage is not an integer or out of range"
MAX_AGE_NOT_POSITIVE: Final = b"ERR maxage should be greater than 0"

_ALL_NODES: Final = ("request_policy:all_nodes", "response_policy:all_succeeded")
_PLAIN: Final = NOSCRIPT | LOADING | STALE
_ADMIN: Final = ADMIN | _PLAIN

container("CLIENT", group="connection", since="2.4.0", summary="A container for commands about client connections.")

declare_help(
    "CLIENT",
    group="connection",
    since="5.0.0",
    categories=("connection",),
    usage={
        "CACHING": "<YES|NO>",
        "CAPA": "<option> [<option> ...]",
        "IMPORT-SOURCE": "<ON|OFF>",
        "KILL": "<ip:port> | <option> <value> [<option> <value> ...]",
        "LIST": "[TYPE <normal|master|replica|pubsub>] [ID <client-id> ...]",
        "NO-EVICT": "<ON|OFF>",
        "NO-TOUCH": "<ON|OFF>",
        "PAUSE": "<timeout> [WRITE|ALL]",
        "REPLY": "<ON|OFF|SKIP>",
        "SETINFO": "<LIB-NAME libname | LIB-VER libver>",
        "SETNAME": "<name>",
        "TRACKING": "<ON|OFF> [REDIRECT <client-id>] [BCAST] [PREFIX <prefix> ...] [OPTIN] [OPTOUT] [NOLOOP]",
        "UNBLOCK": "<client-id> [TIMEOUT|ERROR]",
    },
)


@command("CLIENT|ID", arity=2, flags=_PLAIN, group="connection", since="5.0.0",
         summary="Returns the client's ID.", complexity="O(1)")  # fmt: skip
def client_id(session: Client, args: list[bytes]) -> bytes:
    return integer_reply(session.id)


@command("CLIENT|GETNAME", arity=2, flags=_PLAIN, group="connection", since="2.6.9",
         summary="Returns the client's name.", complexity="O(1)")  # fmt: skip
def client_getname(session: Client, args: list[bytes]) -> bytes:
    return bulk(session.name) if session.name else session.resp.null


@command("CLIENT|SETNAME", arity=3, flags=_PLAIN, group="connection", since="2.6.9",
         syntax="connection-name",
         summary="Sets the client's name; an empty one removes it.", complexity="O(1)", tips=_ALL_NODES)  # fmt: skip
def client_setname(session: Client, args: list[bytes]) -> bytes:
    session.name = check_attribute(args[2], CLIENT_NAME)
    return OK


@command("CLIENT|SETINFO", arity=4, flags=_PLAIN, group="connection", since="7.2.0",
         syntax="attr=<LIB-NAME libname|LIB-VER libver>",
         summary="Records which library the client uses.", complexity="O(1)", tips=_ALL_NODES)  # fmt: skip
def client_setinfo(session: Client, args: list[bytes]) -> bytes:
    attribute = args[2].upper()
    if attribute not in (b"LIB-NAME", b"LIB-VER"):
        raise CommandError(b"ERR Unrecognized option '%b'" % args[2])
    value = check_attribute(args[3], b"ERR %b cannot contain spaces, newlines or special characters." % args[2])
    if attribute == b"LIB-NAME":
        session.lib_name = value
    else:
        session.lib_ver = value
    return OK


@command("CLIENT|CAPA", arity=-3, flags=_PLAIN | ALLOW_BUSY, group="connection", since="8.0.0",
         syntax="capability ...", summary="Says what the client can do, as Valkey's clients do; nothing depends on it.",
         complexity="O(1)")  # fmt: skip
def client_capa(session: Client, args: list[bytes]) -> bytes:
    # Of Valkey's capabilities only `redirect` has a meaning, and that is for replicas.
    return OK


def _running(session: Client, name: bytes) -> bytes:
    """The command that the client executes: EXEC, if the one of this name is part of its transaction."""
    return b"exec" if session.queued is not None else name


@command("CLIENT|INFO", arity=2, flags=_PLAIN, group="connection", since="6.2.0",
         summary="Returns information about the client's own connection.", complexity="O(1)",
         tips=("nondeterministic_output",))  # fmt: skip
def client_info(session: Client, args: list[bytes]) -> bytes:
    return session.resp.verbatim(client_line(session, _running(session, b"client|info"), args) + b"\n")


@command("CLIENT|LIST", arity=-2, flags=_ADMIN, group="connection", since="2.4.0",
         syntax="[client-type=TYPE <NORMAL|MASTER|REPLICA|PUBSUB>]@5.0.0 [ID client-id ...]@6.2.0",
         summary="Returns information about all client connections.",
         complexity="O(N) where N is the number of client connections", tips=("nondeterministic_output",))  # fmt: skip
def client_list(session: Client, args: list[bytes]) -> bytes:
    sessions = session.broker.sessions
    chosen = list(sessions.values())
    if len(args) == 4 and args[2].upper() == b"TYPE":
        kind = _client_type(args[3])
        chosen = [other for other in chosen if client_type(other) == kind]
    elif len(args) > 3 and args[2].upper() == b"ID":
        ids = [integer(argument, CLIENT_ID) for argument in args[3:]]
        chosen = [sessions[given] for given in ids if given in sessions]
    elif len(args) != 2:
        raise CommandError(SYNTAX)
    running = _running(session, b"client|list")
    lines = [client_line(session, running, args) if other is session else client_line(other) for other in chosen]
    return session.resp.verbatim(b"".join(line + b"\n" for line in lines))


def _client_type(name: bytes) -> ClientType:
    kind = CLIENT_TYPES.get(name.lower())
    if kind is None:
        raise CommandError(b"ERR Unknown client type '%b'" % name)
    return kind


def _client_id(argument: bytes) -> int:
    client_id = integer(argument, CLIENT_ID_NOT_POSITIVE)
    if client_id < 1:
        raise CommandError(CLIENT_ID_NOT_POSITIVE)
    return client_id


def _age(argument: bytes) -> int:
    seconds = integer(argument, MAX_AGE)
    if seconds <= 0:
        raise CommandError(MAX_AGE_NOT_POSITIVE)
    return seconds


def _known_user(name: bytes, session: Client) -> bytes:
    if session.broker.users.get(name) is None:
        raise CommandError(b"ERR No such user '%b'" % name)
    return name


_KILL_OPTIONS: Final = Parser[
    tuple[int | None, ClientType | None, bytes | None, bytes | None, bytes | None, bytes, int | None]
](
    "CLIENT|KILL", required=("filter",), defaults={"SKIPME": b"YES"},
    values={"ID": _client_id, "TYPE": _client_type, "USER": _known_user, "MAXAGE": _age},
    context=("USER",),
)  # fmt: skip


@command("CLIENT|KILL", arity=-3, flags=_ADMIN, group="connection", since="2.4.0",
         syntax="filter=<old-format=ip:port!2.8.12|new-format=<[ID client-id]@2.8.12"
                "|[client-type=TYPE <NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|PUBSUB>]@2.8.12|[USER username]"
                "|[ADDR addr=ip:port]|[LADDR laddr=ip:port]@6.2.0|[SKIPME <YES|NO>]|[MAXAGE maxage]@7.4.0> ...>",
         summary="Closes connections, selected by address or other properties.",
         complexity="O(N) where N is the number of client connections")  # fmt: skip
def client_kill(session: Client, args: list[bytes]) -> bytes:
    if len(args) == 3:
        # The old form may close its own client, and raises if no client matches.
        if not _kill(session, [lambda other: other.transport.peer() == args[2]], skip_me=False):
            raise CommandError(NO_SUCH_CLIENT)
        return OK
    client_id, kind, user, address, local, skip_me, seconds = _KILL_OPTIONS.parse(args, 2, session)
    now = session.broker.clock.now
    tests: list[Callable[[Client], bool]] = []
    if client_id is not None:
        tests.append(lambda other: other.id == client_id)
    if kind is not None:
        tests.append(lambda other: client_type(other) == kind)
    if user is not None:
        tests.append(lambda other: other.user_name == user)
    if address is not None:
        tests.append(lambda other: other.transport.peer() == address)
    if local is not None:
        tests.append(lambda other: other.transport.local() == local)
    if seconds is not None:
        tests.append(lambda other: (now - other.created) // 1000 >= seconds)
    return integer_reply(_kill(session, tests, skip_me == b"YES"))


def _kill(session: Client, tests: list[Callable[[Client], bool]], skip_me: bool) -> int:
    """Closes the connections that pass all tests, the client's own only after its reply."""
    killed = 0
    for other in list(session.broker.sessions.values()):
        if other.flags & CLOSING or (other is session and skip_me) or not all(test(other) for test in tests):
            continue
        killed += 1
        if other is session:
            other.close()
        else:
            other.kill()
    return killed


@command("CLIENT|REPLY", arity=3, flags=_PLAIN, group="connection", since="3.2.0",
         syntax="action=<ON|OFF|SKIP>",
         summary="Turns replies to the client on or off, or skips the next one.",
         complexity="O(1)")  # fmt: skip
def client_reply(session: Client, args: list[bytes]) -> bytes:
    mode = args[2].upper()
    if mode == b"ON":
        session.flags &= ~(REPLY_OFF | REPLY_SKIP | REPLY_SKIP_NEXT)
        return OK
    if mode == b"OFF":
        session.flags |= REPLY_OFF
    elif mode == b"SKIP":
        if not session.flags & REPLY_OFF:
            session.flags |= REPLY_SKIP_NEXT
    else:
        raise CommandError(SYNTAX)
    return NO_REPLY


@command("CLIENT|PAUSE", arity=-3, flags=_ADMIN, group="connection", since="3.0.0",
         syntax="timeout:integer mode=[WRITE|ALL]@6.2.0",
         summary="Holds back all requests, or only writes, for a time in milliseconds.",
         complexity="O(1)")  # fmt: skip
def client_pause(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 4:
        raise CommandError(wrong_form(args))
    mode = args[3].lower() if len(args) == 4 else b"all"
    if mode not in (b"all", b"write"):
        raise CommandError(PAUSE_MODE)
    milliseconds = timeout_milliseconds(args[2], session.broker.clock.now)
    session.broker.state.pause("write" if mode == b"write" else "all", milliseconds)
    return OK


@command("CLIENT|UNPAUSE", arity=2, flags=_ADMIN, group="connection", since="6.2.0",
         summary="Ends a pause of clients.", complexity="O(N) where N is the number of paused clients")  # fmt: skip
def client_unpause(session: Client, args: list[bytes]) -> bytes:
    session.broker.state.unpause()
    return OK


@command("CLIENT|UNBLOCK", arity=-3, flags=_ADMIN, group="connection", since="5.0.0",
         syntax="client-id unblock-type=[TIMEOUT|ERROR]",
         summary="Unblocks another client, as if timed out or with an error.",
         complexity="O(log N) where N is the number of client connections")  # fmt: skip
def client_unblock(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 4:
        raise CommandError(wrong_form(args))
    reason = args[3].lower() if len(args) == 4 else b"timeout"
    if reason not in (b"timeout", b"error"):
        raise CommandError(UNBLOCK_REASON)
    broker = session.broker
    target = broker.sessions.get(integer(args[2]))
    if target is None or target.waiting is None or not target.waiting.timeout_reply:
        return ZERO
    if reason == b"error":
        # The error counts for the command that was waiting.
        reply = broker.executor.failed(target.last_command, CommandError(UNBLOCKED))
        # Redis counts it for the running command as well, which is this one.
        unblock = broker.commands.find(args)
        if unblock is not None:
            unblock.failed += 1
    else:
        reply = target.waiting.timeout_reply
    broker.blocking.finish(target, reply)
    return ONE


@command("CLIENT|NO-EVICT", arity=3, flags=_ADMIN, group="connection", since="7.0.0",
         syntax="enabled=<ON|OFF>",
         summary="Sets whether the client is exempt from being closed to save memory.", complexity="O(1)")  # fmt: skip
def client_no_evict(session: Client, args: list[bytes]) -> bytes:
    session.no_evict = _on_or_off(args[2])
    return OK


@command("CLIENT|NO-TOUCH", arity=3, flags=_PLAIN, group="connection", since="7.2.0",
         syntax="enabled=<ON|OFF>",
         summary="Sets whether the client's commands update keys' access times.", complexity="O(1)")  # fmt: skip
def client_no_touch(session: Client, args: list[bytes]) -> bytes:
    session.set_no_touch(_on_or_off(args[2]))
    return OK


@command("CLIENT|IMPORT-SOURCE", arity=3, flags=_PLAIN, group="connection", since="8.1.0",
         syntax="enabled=<ON|OFF>",
         summary="Sets whether the client copies another server's data, and sees keys that are due, in import mode.",
         complexity="O(1)")  # fmt: skip
def client_import_source(session: Client, args: list[bytes]) -> bytes:
    if not session.broker.state.importing and args[2].lower() != b"off":
        raise CommandError(NO_IMPORT_MODE)
    session.import_source = _on_or_off(args[2])
    return OK


def _on_or_off(argument: bytes) -> bool:
    word = argument.lower()
    if word not in (b"on", b"off"):
        raise CommandError(SYNTAX)
    return word == b"on"
