"""Connection: AUTH, ECHO, HELLO, PING, QUIT, RESET, SELECT."""

from __future__ import annotations

from itertools import chain
from typing import Final

from broker.acl.log import AUTH, MULTI, TOP_LEVEL
from broker.broker import Client
from broker.clients.describing import client_line
from broker.clients.pubsub import update_mode
from broker.clients.session import REPLY_OFF, REPLY_SKIP_NEXT, UNAUTHENTICATED
from broker.config.kinds import bytes_of
from broker.table.arguments import integer
from broker.table.command import (
    ALLOW_BUSY,
    FAST,
    IN_SUBSCRIBED_MODE,
    LOADING,
    NEVER_QUEUED,
    NO_AUTH,
    NOSCRIPT,
    STALE,
    command,
)
from broker.table.parsers import Parser
from broker.version import REDIS_VERSION
from protocol.errors import DB_INDEX, NO_PROTO, SYNTAX, WRONG_PASS, CommandError, wrong_arity
from protocol.replies import DIALECTS, EMPTY_ARRAY, EMPTY_BULK, OK, PONG, RESP2, array, bulk
from protocol.replies import integer as integer_reply

NO_PASSWORD_SET: Final = (
    b"ERR AUTH <password> called without any password configured for the default user."
    b" Are you sure your configuration is correct?"
)
HELLO_NEEDS_AUTH: Final = (
    b"NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH"
    b" <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the"
    b" same time"
)
PROTOCOL_NOT_INTEGER: Final = b"ERR Protocol version is not an integer or out of range"
CLIENT_NAME: Final = b"ERR Client names cannot contain spaces, newlines or special characters."
DB_OUT_OF_INT: Final = b"ERR value is out of range, value must between -2147483648 and 2147483647"

_ANY_TIME: Final = NOSCRIPT | LOADING | STALE | FAST | NO_AUTH | ALLOW_BUSY

_SUBSCRIBED_PONG: Final = b"*2\r\n" + bulk(b"pong")
_PRINTABLE: Final = bytes(range(ord("!"), ord("~") + 1))


@command("PING", arity=-1, flags=FAST | IN_SUBSCRIBED_MODE, group="connection", since="1.0.0",
         syntax="[message]", summary="Returns PONG, or the message.", complexity="O(1)",
         tips=("request_policy:all_shards", "response_policy:all_succeeded"))  # fmt: skip
def ping(session: Client, args: list[bytes]) -> bytes:
    if len(args) == 1 and not session.flags:
        return PONG
    if len(args) > 2:
        raise CommandError(wrong_arity(b"ping"))
    if session.resp is RESP2 and (session.channels or session.patterns or session.shard_channels):
        # A subscribed RESP2 client expects nothing but arrays.
        return _SUBSCRIBED_PONG + (bulk(args[1]) if len(args) == 2 else EMPTY_BULK)
    return bulk(args[1]) if len(args) == 2 else PONG


@command("ECHO", arity=2, flags=LOADING | STALE | FAST, group="connection", since="1.0.0",
         syntax="message", summary="Returns the message.", complexity="O(1)")  # fmt: skip
def echo(session: Client, args: list[bytes]) -> bytes:
    return bulk(args[1])


@command("SELECT", arity=2, flags=LOADING | STALE | FAST, group="connection", since="1.0.0",
         syntax="index", summary="Changes the client's database.", complexity="O(1)")  # fmt: skip
def select(session: Client, args: list[bytes]) -> bytes:
    index = integer(args[1])
    databases = session.broker.keyspace.databases
    database = databases.made.get(index)
    if database is None:
        if not -(1 << 31) <= index < 1 << 31:
            raise CommandError(DB_OUT_OF_INT)
        if not 0 <= index < len(databases):
            raise CommandError(DB_INDEX)
        if not session.broker.state.loading:
            databases.tidy(other.db for other in chain((session,), session.broker.sessions.values()))
        database = databases[index]
    session.db = database
    return OK


@command("AUTH", arity=-2, flags=_ANY_TIME, group="connection",
         since="1.0.0",
         syntax="[username]@6.0.0 password",
         summary="Authenticates the client.",
         complexity="O(N) where N is the number of passwords defined for the user")  # fmt: skip
def auth(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 3:
        raise CommandError(SYNTAX)
    if len(args) == 2 and session.broker.users.default.nopass:
        raise CommandError(NO_PASSWORD_SET)
    authenticate(session, args[0], b"default" if len(args) == 2 else args[1], args[-1])
    return OK


def _wrong_option(args: list[bytes], at: int) -> CommandError:
    return CommandError(b"ERR Syntax error in HELLO option '%b'" % args[at])


def _name(argument: bytes) -> bytes:
    return check_attribute(argument, CLIENT_NAME)


_HELLO_OPTIONS: Final = Parser[tuple[bytes | None, bytes | None, bytes | None]](
    "HELLO", values={"SETNAME": _name}, error=_wrong_option
)


@command("HELLO", arity=-1, flags=_ANY_TIME, group="connection",
         since="6.0.0",
         syntax="arguments=[protover [AUTH username password] [SETNAME clientname]]",
         summary="Chooses the protocol version and describes the broker.",
         complexity="O(1)")  # fmt: skip
def hello(session: Client, args: list[bytes]) -> bytes:
    version = 0
    if len(args) > 1:
        version = integer(args[1], PROTOCOL_NOT_INTEGER)
        if version not in DIALECTS:
            raise CommandError(NO_PROTO)
    username, password, name = _HELLO_OPTIONS.parse(args, 2)
    if username is not None and password is not None:
        authenticate(session, args[0], username, password)
    if session.flags & UNAUTHENTICATED:
        raise CommandError(HELLO_NEEDS_AUTH)
    if name is not None:
        session.name = name
    if version:
        session.resp = DIALECTS[version]
        update_mode(session)
    replicates = session.broker.config.replicaof is not None
    fields = [
        (bulk(b"server"), bulk(b"redis")),
        (bulk(b"version"), bulk(REDIS_VERSION.encode())),
        (bulk(b"proto"), integer_reply(session.resp.version)),
        (bulk(b"id"), integer_reply(session.id)),
        (bulk(b"mode"), bulk(b"standalone")),
        (bulk(b"role"), bulk(b"replica" if replicates else b"master")),
        (bulk(b"modules"), EMPTY_ARRAY),
    ]
    if zone := session.broker.config.availability_zone:
        fields.append((bulk(b"availability_zone"), bulk(bytes_of(zone))))
    if session.broker.config.stream_extensions:
        fields.append((bulk(b"extensions"), array([bulk(b"streams")])))
    return session.resp.map(fields)


@command("QUIT", arity=-1, flags=_ANY_TIME | IN_SUBSCRIBED_MODE | NEVER_QUEUED,
         group="connection", since="1.0.0", summary="Closes the connection.", complexity="O(1)",
         deprecated_since="7.2.0", replaced_by="just closing the connection")  # fmt: skip
def quit_(session: Client, args: list[bytes]) -> bytes:
    session.close()
    return OK


@command("RESET", arity=1, flags=_ANY_TIME | IN_SUBSCRIBED_MODE | NEVER_QUEUED,
         group="connection", since="6.2.0", summary="Resets the connection to the state of a new one.",
         complexity="O(1)")  # fmt: skip
def reset(session: Client, args: list[bytes]) -> bytes:
    broker = session.broker
    session.discard()
    broker.pubsub.unsubscribe_all(session)
    broker.stop_monitoring(session)
    broker.tracking.disable(session)
    session.flags &= ~(REPLY_OFF | REPLY_SKIP_NEXT)
    session.resp = RESP2
    session.db = broker.keyspace.databases[0]
    session.become_user(broker.users.default, not broker.users.login_required())
    session.name = b""
    session.no_evict = False
    session.set_no_touch(False)
    session.import_source = False
    broker.fieldsets.forget(session)
    return b"+RESET\r\n"


def authenticate(session: Client, by: bytes, name: bytes, password: bytes) -> None:
    """Logs the client in as that user if the password is right; raises WRONGPASS otherwise, noted in ACL LOG.

    `by` is the word with which the client asked for it.
    """
    users = session.broker.users
    user = users.get(name)
    if user is None or not user.accepts(password):
        context = MULTI if session.queued is not None else TOP_LEVEL
        users.log.add(AUTH, context, by, name, client_line(session, by.lower()))
        log = session.broker.log
        log.verbose("failed AUTH", id=session.id, addr=session.transport.peer(), user=log.user_data(name))
        raise CommandError(WRONG_PASS)
    session.become_user(user, True)


def check_attribute(value: bytes, error: bytes) -> bytes:
    """Returns the value; raises with `error` if it contains characters that would break CLIENT LIST's lines."""
    if value.translate(None, _PRINTABLE):
        raise CommandError(error)
    return value
