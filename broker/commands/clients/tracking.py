"""CLIENT TRACKING, CACHING, TRACKINGINFO, GETREDIR: server-assisted client-side caching."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.clients.tracking_state import TrackingState
from broker.table.arguments import integer
from broker.table.command import LOADING, NOSCRIPT, STALE, command
from broker.table.parsers import Parser
from protocol.errors import SYNTAX, CommandError
from protocol.replies import OK, bulk, bulks
from protocol.replies import integer as integer_reply

ONE_REDIRECTION: Final = b"ERR A client can only redirect to a single other client"
NO_RECEIVER: Final = b"ERR The client ID you want redirect to does not exist"
PREFIX_WITHOUT_BCAST: Final = b"ERR PREFIX option requires BCAST mode to be enabled"
_BEFORE_DISABLING: Final = b" before disabling tracking for this client, and then re-enabling it with a different mode."
BCAST_SWITCHED: Final = b"ERR You can't switch BCAST mode on/off" + _BEFORE_DISABLING
OPT_SWITCHED: Final = b"ERR You can't switch OPTIN/OPTOUT mode" + _BEFORE_DISABLING
OPT_WITH_BCAST: Final = b"ERR OPTIN and OPTOUT are not compatible with BCAST"
OPTIN_AND_OPTOUT: Final = b"ERR You can't specify both OPTIN mode and OPTOUT mode"
CACHING_UNTRACKED: Final = (
    b"ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
)
YES_WITHOUT_OPTIN: Final = b"ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
NO_WITHOUT_OPTOUT: Final = b"ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."

_FLAGS: Final = NOSCRIPT | LOADING | STALE


def _receiver(argument: bytes, session: Client) -> int:
    client = integer(argument)
    if client not in session.broker.sessions:
        raise CommandError(NO_RECEIVER)
    return client


_OPTIONS: Final = Parser[tuple[int | None, list[bytes], bool, bool, bool, bool]](
    "CLIENT|TRACKING", values={"REDIRECT": _receiver}, context=("REDIRECT",), once={"REDIRECT": ONE_REDIRECTION}
)


@command("CLIENT|TRACKING", arity=-3, flags=_FLAGS, group="connection", since="6.0.0",
         syntax="status=<ON|OFF> [REDIRECT client-id] [PREFIX prefix] ... [BCAST] [OPTIN] [OPTOUT] [NOLOOP]",
         summary="Sends messages when keys that the client has read change, for a cache of its own.",
         complexity="O(1), and O(N) for N prefixes")  # fmt: skip
def client_tracking(session: Client, args: list[bytes]) -> bytes:
    redirect, prefixes, broadcast, opt_in, opt_out, no_loop = _OPTIONS.parse(args, 3, session)
    status = args[2].lower()
    tracking = session.broker.tracking
    if status == b"on":
        current = session.tracking
        if prefixes and not broadcast:
            raise CommandError(PREFIX_WITHOUT_BCAST)
        if current is not None and current.broadcast != broadcast:
            raise CommandError(BCAST_SWITCHED)
        if broadcast and (opt_in or opt_out):
            raise CommandError(OPT_WITH_BCAST)
        if opt_in and opt_out:
            raise CommandError(OPTIN_AND_OPTOUT)
        if current is not None and ((opt_in and current.opt_out) or (opt_out and current.opt_in)):
            raise CommandError(OPT_SWITCHED)
        _check_overlaps(prefixes, [] if current is None else sorted(current.prefixes))
        state = tracking.enable(
            session, redirect=redirect or 0, broadcast=broadcast, opt_in=opt_in, opt_out=opt_out, no_loop=no_loop
        )
        for prefix in prefixes or ([b""] if broadcast else ()):
            tracking.add_prefix(session, state, prefix)
    elif status == b"off":
        tracking.disable(session)
    else:
        raise CommandError(SYNTAX)
    return OK


def _check_overlaps(prefixes: list[bytes], existing: list[bytes]) -> None:
    """Raises if a key could begin with two of a client's prefixes."""
    for number, prefix in enumerate(prefixes):
        for other in existing:
            if _overlap(prefix, other):
                raise CommandError(_overlapping(prefix, b"an existing", other))
        for other in prefixes[number + 1 :]:
            if _overlap(prefix, other):
                raise CommandError(_overlapping(prefix, b"another provided", other))


def _overlap(prefix: bytes, other: bytes) -> bool:
    return prefix.startswith(other) or other.startswith(prefix)


def _overlapping(prefix: bytes, which: bytes, other: bytes) -> bytes:
    """The error text, which ends names at a NUL, as in Redis."""
    return (
        b"ERR Prefix '%b' overlaps with %b prefix '%b'. Prefixes for a single client must not overlap."
        % (prefix.partition(b"\0")[0], which, other.partition(b"\0")[0])
    )  # fmt: skip


@command("CLIENT|CACHING", arity=3, flags=_FLAGS, group="connection", since="6.0.0", syntax="mode=<YES|NO>",
         summary="Sets whether the keys that the next command reads are tracked.", complexity="O(1)")  # fmt: skip
def client_caching(session: Client, args: list[bytes]) -> bytes:
    state = session.tracking
    if state is None:
        raise CommandError(CACHING_UNTRACKED)
    mode = args[2].lower()
    if mode == b"yes":
        if not state.opt_in:
            raise CommandError(YES_WITHOUT_OPTIN)
    elif mode == b"no":
        if not state.opt_out:
            raise CommandError(NO_WITHOUT_OPTOUT)
    else:
        raise CommandError(SYNTAX)
    state.caching = True
    return OK


@command("CLIENT|GETREDIR", arity=2, flags=_FLAGS, group="connection", since="6.0.0",
         summary="Returns the ID of the client that receives the messages about tracked keys.",
         complexity="O(1)")  # fmt: skip
def client_getredir(session: Client, args: list[bytes]) -> bytes:
    return integer_reply(_redirect(session.tracking))


@command("CLIENT|TRACKINGINFO", arity=2, flags=_FLAGS, group="connection", since="6.2.0",
         summary="Returns whether and how the keys that the client reads are tracked.",
         complexity="O(1)")  # fmt: skip
def client_trackinginfo(session: Client, args: list[bytes]) -> bytes:
    state = session.tracking
    flags = _flags(state)
    resp = session.resp
    return resp.map(
        [
            (bulk(b"flags"), resp.set_header(len(flags)) + b"".join(map(bulk, flags))),
            (bulk(b"redirect"), integer_reply(_redirect(state))),
            (bulk(b"prefixes"), bulks([] if state is None else sorted(state.prefixes))),
        ]
    )


def _redirect(state: TrackingState | None) -> int:
    """-1 while tracking is off, 0 without redirection."""
    return -1 if state is None else state.redirect


def _flags(state: TrackingState | None) -> list[bytes]:
    if state is None:
        return [b"off"]
    flags = (
        (b"on", True),
        (b"bcast", state.broadcast),
        (b"optin", state.opt_in),
        (b"caching-yes", state.opt_in and state.caching),
        (b"optout", state.opt_out),
        (b"caching-no", state.opt_out and state.caching),
        (b"noloop", state.no_loop),
        (b"broken_redirect", state.broken),
    )
    return [flag for flag, holds in flags if holds]
