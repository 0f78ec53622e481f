"""ACL: users, their permissions, and the log of what was denied."""

from __future__ import annotations

import secrets
from typing import Final

from broker.acl.checking import PERMITTED, POSITION
from broker.acl.file import AclFileError, UnmatchedError, merge_selectors
from broker.acl.log import COMMAND, Entry
from broker.acl.selector import UNKNOWN, RuleError, Selector, has_spaces, names_extension
from broker.acl.users import DEFAULT
from broker.broker import Client
from broker.clients.permissions import (
    close_clients,
    close_revoked,
    denied_text,
    reason_of,
    switch_users,
    update_sessions,
)
from broker.commands.help import declare_help
from broker.table.arguments import integer
from broker.table.command import ADMIN, CATEGORIES, LOADING, NOSCRIPT, STALE, command, container
from protocol.errors import CommandError, wrong_arity, wrong_form
from protocol.replies import OK, Dialect, array, bulk, bulks
from protocol.replies import integer as integer_reply

NAME_WITH_SPACES: Final = b"ERR Usernames can't contain spaces or null characters"
DEFAULT_STAYS: Final = b"ERR The 'default' user cannot be removed"
GENPASS_BITS: Final = (
    b"ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096"
)
NO_FILE: Final = (
    b"ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER"
    b" command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store"
    b" users in the Redis configuration."
)
NOT_SAVED: Final = b"ERR There was an error trying to save the ACLs. Please check the server logs for more information"

DEFAULT_BITS: Final = 256
MOST_BITS: Final = 4096
LOG_SHOWN: Final = 10

_PLAIN: Final = NOSCRIPT | LOADING | STALE
_ADMIN: Final = ADMIN | _PLAIN
_ALL_NODES: Final = ("request_policy:all_nodes", "response_policy:all_succeeded")

container("ACL", group="server", since="6.0.0", summary="A container for commands about access control.")

declare_help(
    "ACL",
    group="server",
    since="6.0.0",
    usage={
        "CAT": "[<category>]",
        "DELUSER": "<username> [<username> ...]",
        "DRYRUN": "<username> <command> [<arg> ...]",
        "GENPASS": "[<bits>]",
        "GETUSER": "<username>",
        "LOG": "[<count> | RESET]",
        "SETUSER": "<username> <attribute> [<attribute> ...]",
    },
)


@command("ACL|CAT", arity=-2, flags=_PLAIN, group="server", since="6.0.0", syntax="[category]",
         summary="Returns the categories of commands, or the commands in one.",
         complexity="O(1) since the categories and commands are a fixed set.")  # fmt: skip
def acl_cat(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 3:
        raise CommandError(wrong_form(args))
    if len(args) == 2:
        return bulks([category.encode() for category in CATEGORIES])
    category = args[2].lower().decode(errors="replace")
    if category not in CATEGORIES:
        raise CommandError(b"ERR Unknown category '%b'" % args[2].partition(b"\0")[0])
    return bulks([each.name for each in session.broker.commands if category in each.categories])


@command("ACL|WHOAMI", arity=2, flags=_PLAIN, group="server", since="6.0.0",
         summary="Returns the name of the client's user.", complexity="O(1)")  # fmt: skip
def acl_whoami(session: Client, args: list[bytes]) -> bytes:
    return bulk(session.user_name)


@command("ACL|USERS", arity=2, flags=_ADMIN, group="server", since="6.0.0",
         summary="Returns the names of all users.",
         complexity="O(N). Where N is the number of configured users.")  # fmt: skip
def acl_users(session: Client, args: list[bytes]) -> bytes:
    return bulks([user.name for user in session.broker.users])


@command("ACL|LIST", arity=2, flags=_ADMIN, group="server", since="6.0.0",
         summary="Returns the rules of all users, in the form of the ACL file.",
         complexity="O(N). Where N is the number of configured users.")  # fmt: skip
def acl_list(session: Client, args: list[bytes]) -> bytes:
    return bulks([b"user %b %b" % (user.name, user.describe()) for user in session.broker.users])


@command("ACL|GETUSER", arity=3, flags=_ADMIN, group="server", since="6.0.0", syntax="username",
         summary="Returns the rules of a user.",
         complexity="O(N). Where N is the number of password, command and pattern rules that the user"
                    " has.")  # fmt: skip
def acl_getuser(session: Client, args: list[bytes]) -> bytes:
    user = session.broker.users.get(args[2])
    resp = session.resp
    if user is None:
        return resp.null
    flags = user.flags()
    root, *others = user.selectors
    return resp.map(
        [
            (bulk(b"flags"), resp.set_header(len(flags)) + b"".join(map(bulk, flags))),
            (bulk(b"passwords"), bulks(list(user.passwords))),
            *_selector(root),
            (bulk(b"selectors"), array([resp.map(_selector(other)) for other in others])),
        ]
    )


def _selector(selector: Selector) -> list[tuple[bytes, bytes]]:
    return [
        (bulk(b"commands"), bulk(selector.describe_commands())),
        (bulk(b"keys"), bulk(selector.describe_keys())),
        (bulk(b"channels"), bulk(selector.describe_channels())),
    ]


@command("ACL|SETUSER", arity=-3, flags=_ADMIN, group="server", since="6.0.0", syntax="username [rule ...]",
         summary="Creates a user, or changes the rules of one.",
         complexity="O(N). Where N is the number of rules provided.", tips=_ALL_NODES)  # fmt: skip
def acl_setuser(session: Client, args: list[bytes]) -> bytes:
    name = args[2]
    if has_spaces(name):
        raise CommandError(NAME_WITH_SPACES)
    try:
        rules = merge_selectors(args[3:])
    except UnmatchedError as problem:
        raise CommandError(
            b"ERR Unmatched parenthesis in acl selector starting at '%b'." % args[3 + problem.at].partition(b"\0")[0]
        ) from None
    broker = session.broker
    users = broker.users
    user = users.get(name)
    changed = users.create(name) if user is None else user.copy(users.all_channels())
    for rule in rules:
        try:
            # Files may name such commands, so that a broker starts that had the directive once.
            if not broker.config.stream_extensions and names_extension(rule):
                raise RuleError(UNKNOWN)
            changed.apply(rule)
        except RuleError as problem:
            shown = rule.partition(b"\0")[0]
            raise CommandError(b"ERR Error in ACL SETUSER modifier '%b': %b" % (shown, problem.text)) from None
    if user is None:
        users.add(changed)
        return OK
    close_revoked(broker.sessions.values(), user, changed, session)
    user.become(changed)
    update_sessions(broker.sessions.values(), user)
    return OK


@command("ACL|DELUSER", arity=-3, flags=_ADMIN, group="server", since="6.0.0", syntax="username ...",
         summary="Deletes users and closes their connections.",
         complexity="O(1) amortized time considering the typical user.", tips=_ALL_NODES)  # fmt: skip
def acl_deluser(session: Client, args: list[bytes]) -> bytes:
    if DEFAULT in args[2:]:
        raise CommandError(DEFAULT_STAYS)
    broker = session.broker
    deleted = 0
    for name in args[2:]:
        user = broker.users.remove(name)
        if user is not None:
            deleted += 1
            close_clients(broker.sessions.values(), user, session)
    return integer_reply(deleted)


@command("ACL|GENPASS", arity=-2, flags=_PLAIN, group="server", since="6.0.0", syntax="[bits:integer]",
         summary="Returns a random password.", complexity="O(1)")  # fmt: skip
def acl_genpass(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 3:
        raise CommandError(wrong_form(args))
    bits = integer(args[2]) if len(args) == 3 else DEFAULT_BITS
    if not 0 < bits <= MOST_BITS:
        raise CommandError(GENPASS_BITS)
    digits = (bits + 3) // 4
    return bulk(secrets.token_hex((digits + 1) // 2)[:digits].encode())


@command("ACL|LOG", arity=-2, flags=_ADMIN, group="server", since="6.0.0", syntax="operation=[count:integer|RESET]",
         summary="Returns what was denied lately, or forgets it.",
         complexity="O(N) with N being the number of entries shown.")  # fmt: skip
def acl_log(session: Client, args: list[bytes]) -> bytes:
    if len(args) > 3:
        raise CommandError(wrong_form(args))
    log = session.broker.users.log
    count = LOG_SHOWN
    if len(args) == 3:
        if args[2].upper() == b"RESET":
            log.entries.clear()
            return OK
        count = max(0, integer(args[2]))
    now = session.broker.clock.now
    return array([_entry(session.resp, entry, now) for entry in log.entries[:count]])


def _entry(resp: Dialect, entry: Entry, now: int) -> bytes:
    return resp.map(
        [
            (bulk(b"count"), integer_reply(entry.count)),
            (bulk(b"reason"), bulk(entry.reason.encode())),
            (bulk(b"context"), bulk(entry.context.encode())),
            (bulk(b"object"), bulk(entry.object)),
            (bulk(b"username"), bulk(entry.user)),
            (bulk(b"age-seconds"), resp.double((now - entry.updated) / 1000)),
            (bulk(b"client-info"), bulk(entry.client)),
            (bulk(b"entry-id"), integer_reply(entry.id)),
            (bulk(b"timestamp-created"), integer_reply(entry.created)),
            (bulk(b"timestamp-last-updated"), integer_reply(entry.updated)),
        ]
    )


@command("ACL|DRYRUN", arity=-4, flags=_ADMIN, group="server", since="7.0.0", syntax="username command [arg ...]",
         summary="Returns whether a user may execute a command, without executing it.",
         complexity="O(1).")  # fmt: skip
def acl_dryrun(session: Client, args: list[bytes]) -> bytes:
    user = session.broker.users.get(args[2])
    if user is None:
        raise CommandError(b"ERR User '%b' not found" % args[2].partition(b"\0")[0])
    given = args[3:]
    found = session.broker.commands.find(given)
    if found is None:
        raise CommandError(b"ERR Command '%b' not found" % given[0].partition(b"\0")[0])
    if not found.min_args <= len(given) <= found.max_args:
        raise CommandError(wrong_arity(found.name))
    verdict = user.verdict(found, given)
    if verdict == PERMITTED:
        return OK
    reason = reason_of(verdict)
    value = None if reason == COMMAND else given[verdict & POSITION]
    return bulk(denied_text(user, found, reason, value))


@command("ACL|LOAD", arity=2, flags=_ADMIN, group="server", since="6.0.0",
         summary="Replaces all users by those in the ACL file.",
         complexity="O(N). Where N is the number of configured users.")  # fmt: skip
def acl_load(session: Client, args: list[bytes]) -> bytes:
    users = session.broker.users
    if users.path() is None:
        raise CommandError(NO_FILE)
    try:
        users.load()
    except AclFileError as problem:
        raise CommandError(b"ERR " + problem.text) from None
    switch_users(session.broker.sessions.values(), session)
    return OK


@command("ACL|SAVE", arity=2, flags=_ADMIN, group="server", since="6.0.0",
         summary="Writes all users to the ACL file.",
         complexity="O(N). Where N is the number of configured users.", tips=_ALL_NODES)  # fmt: skip
def acl_save(session: Client, args: list[bytes]) -> bytes:
    broker = session.broker
    path = broker.users.path()
    if path is None:
        raise CommandError(NO_FILE)
    try:
        broker.users.save()
    except OSError as problem:
        broker.log.warning("saving the ACL file failed", file=path, reason=problem.strerror or str(problem))
        raise CommandError(NOT_SAVED) from None
    return OK
