"""What clients' users may do: refusing requests, and following changes of users.

Only requests of sessions with the flag RESTRICTED are checked. A change of a user's permissions applies to the next
request of its clients; those that were deleted, or are subscribed to what they may no longer receive, are closed.
"""

from __future__ import annotations

from collections.abc import Iterable

from broker.acl.checking import CHANNEL_DENIED, KEY_DENIED, PERMITTED, POSITION, channel_permitted
from broker.acl.log import CHANNEL, COMMAND, KEY, MULTI
from broker.acl.user import User
from broker.clients.describing import client_line
from broker.clients.session import Session
from broker.table.command import Command

_CHANGED = (
    b"NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is"
    b" no longer allowed for the following reason: "
)
_REASONS = {
    COMMAND: b"no permission to execute the command or subcommand",
    KEY: b"no permission to touch the specified keys",
    CHANNEL: b"no permission to access one of the channels used as arguments",
}


def denial(
    session: Session,
    command: Command,
    args: list[bytes],
    context: str,
    client: Session | None = None,
    running: bytes = b"",
) -> bytes | None:
    """Returns the error if the session's user may not execute this, after noting it in ACL LOG; None if it may.

    `context` is where it would have been executed. For a script's call, `client` is the one whose script asks and
    `running` the name of the command that runs the script.
    """
    found = session.user.verdict(command, args)
    if found == PERMITTED:
        return None
    reason = _note(session, command, args, found, context, client or session, running or command.name)
    return b"NOPERM " + denied_text(session.user, command, reason)


def denial_in_exec(session: Session, command: Command, args: list[bytes]) -> bytes | None:
    """The same for a command that was permitted when it was queued."""
    found = session.user.verdict(command, args)
    if found == PERMITTED:
        return None
    return _CHANGED + _REASONS[_note(session, command, args, found, MULTI, session, b"exec")]


def denied_text(user: User, command: Command, reason: str, value: bytes | None = None) -> bytes:
    """Returns the reason as a text for the client; only DRYRUN's contains the denied key or channel."""
    if reason == COMMAND:
        return b"User %b has no permissions to run the '%b' command" % (user.name, command.name)
    kind = reason.encode()
    if value is None:
        return b"No permissions to access a %b" % kind
    return b"User %b has no permissions to access the '%b' %b" % (user.name, value, kind)


def reason_of(found: int) -> str:
    """Returns what a verdict other than PERMITTED denies: COMMAND, KEY or CHANNEL."""
    return CHANNEL if found >= CHANNEL_DENIED else KEY if found >= KEY_DENIED else COMMAND


def _note(
    session: Session, command: Command, args: list[bytes], found: int, context: str, client: Session, running: bytes
) -> str:
    reason = reason_of(found)
    denied = command.name if reason == COMMAND else args[found & POSITION]
    session.broker.users.log.add(reason, context, denied, session.user.name, client_line(client, running))
    return reason


def update_sessions(sessions: Iterable[Session], changed: User) -> None:
    """Apply a user's new permissions to its clients; the default user's decide whether others must log in."""
    users = None
    for session in sessions:
        users = users or session.broker.users
        if session.user is changed or changed is users.default:
            session.update_rights()


def close_clients(sessions: Iterable[Session], user: User, running: Session) -> None:
    """Close all clients of a user that is gone; the one that executes the command gets its reply first."""
    for session in list(sessions):
        if session.user is user:
            _close(session, running)


def _close(session: Session, running: Session) -> None:
    session.become_user(session.broker.users.default, False)
    if session is running:
        session.close()
    else:
        session.kill()


def close_revoked(sessions: Iterable[Session], user: User, permissions: User, running: Session) -> None:
    """Close the user's clients that are subscribed to what the new permissions don't include."""
    for session in list(sessions):
        if session.user is user and not _keeps_subscriptions(session, permissions):
            if session is running:
                session.close()
            else:
                session.kill()


def _keeps_subscriptions(session: Session, permissions: User) -> bool:
    selectors = permissions.selectors
    if any(selector.all_channels for selector in selectors):
        return True
    return all(
        any(channel_permitted(selector, name, is_pattern) for selector in selectors)
        for names, is_pattern in (
            (session.patterns, True),
            (session.channels, False),
            (session.shard_channels, False),
        )
        for name in names
    )


def switch_users(sessions: Iterable[Session], running: Session) -> None:
    """Follow a reload of the ACL file: each client acts as the user of the same name, if there still is one."""
    for session in list(sessions):
        user = session.broker.users.get(session.user.name)
        if user is None or not _keeps_subscriptions(session, user):
            _close(session, running)
        else:
            session.user = user
            session.update_rights()
