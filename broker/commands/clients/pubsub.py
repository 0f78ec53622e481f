"""Publish and subscribe: the SUBSCRIBE family, PUBLISH, SPUBLISH and PUBSUB.

Each channel of a SUBSCRIBE or UNSUBSCRIBE is answered with a separate message, which RESP3 sends as a push. Pushes
are sent even if CLIENT REPLY has turned replies off, so these answers bypass that setting too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from broker.broker import Client
from broker.clients.pubsub import Captor
from broker.clients.session import REPLY_OFF, REPLY_SKIP
from broker.process.globs import Glob
from broker.table.command import (
    DENYOOM,
    FAST,
    IN_SUBSCRIBED_MODE,
    LOADING,
    MAY_REPLICATE,
    NOSCRIPT,
    NOT_KEY,
    PUBSUB,
    STALE,
    command,
    container,
    key,
    keys,
)
from protocol.errors import NO_REPLICAS, OUT_OF_MEMORY, CommandError, wrong_form
from protocol.replies import NO_REPLY, array, array_header, bulk, bulks, integer, simple

_SUBSCRIBING: Final = PUBSUB | NOSCRIPT | LOADING | STALE | IN_SUBSCRIBED_MODE
_LISTING: Final = PUBSUB | LOADING | STALE
_PUBLISHING: Final = PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE

_HELP: Final = (
    b"PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    b"CHANNELS [<pattern>]",
    b"    List the channels that have subscribers and match the pattern (all without one).",
    b"NUMPAT",
    b"    Count the patterns that have subscribers.",
    b"NUMSUB [<channel> ...]",
    b"    Count the subscribers of each channel;",
    b"    subscribers of patterns do not count.",
    b"SHARDCHANNELS [<pattern>]",
    b"    List the shard channels that have subscribers and match the pattern (all without one).",
    b"SHARDNUMSUB [<shardchannel> ...]",
    b"    Count the subscribers of each shard channel.",
    b"HELP",
    b"    Print this help.",
)


_SUBSCRIBE_DENIED: Final = b"ERR SUBSCRIBE isn't allowed for a DENY BLOCKING client"
_PSUBSCRIBE_DENIED: Final = b"ERR PSUBSCRIBE isn't allowed for a DENY BLOCKING client"
_SSUBSCRIBE_DENIED: Final = b"ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"


# Subscribing


@command("SUBSCRIBE", arity=-2, flags=_SUBSCRIBING | DENYOOM, group="pubsub", since="2.0.0",
         syntax="channel ...",
         summary="Subscribes the client to channels.", complexity="O(N) for N channels")  # fmt: skip
def subscribe(session: Client, args: list[bytes]) -> bytes:
    if session.deny_blocking and session.queued is None:
        raise CommandError(_SUBSCRIBE_DENIED)
    return _each(session, args[1:], b"subscribe", session.broker.pubsub.subscribe)


@command("UNSUBSCRIBE", arity=-1, flags=_SUBSCRIBING, group="pubsub", since="2.0.0",
         syntax="[channel ...]", summary="Unsubscribes the client from these channels, or from all.",
         complexity="O(N) for N channels")  # fmt: skip
def unsubscribe(session: Client, args: list[bytes]) -> bytes:
    names = args[1:] or list(session.channels)
    return _each(session, names, b"unsubscribe", session.broker.pubsub.unsubscribe)


@command("PSUBSCRIBE", arity=-2, flags=_SUBSCRIBING | DENYOOM, group="pubsub", since="2.0.0",
         syntax="pattern ...", summary="Subscribes the client to all channels that match the patterns.",
         complexity="O(N) for N patterns")  # fmt: skip
def psubscribe(session: Client, args: list[bytes]) -> bytes:
    if session.deny_blocking and session.queued is None:
        raise CommandError(_PSUBSCRIBE_DENIED)
    return _each(session, args[1:], b"psubscribe", session.broker.pubsub.subscribe_pattern)


@command("PUNSUBSCRIBE", arity=-1, flags=_SUBSCRIBING, group="pubsub", since="2.0.0",
         syntax="[pattern ...]", summary="Unsubscribes the client from these patterns, or from all.",
         complexity="O(N) for N patterns")  # fmt: skip
def punsubscribe(session: Client, args: list[bytes]) -> bytes:
    names = args[1:] or list(session.patterns)
    return _each(session, names, b"punsubscribe", session.broker.pubsub.unsubscribe_pattern)


@command("SSUBSCRIBE", arity=-2, flags=_SUBSCRIBING | DENYOOM, keys=(keys(NOT_KEY),), group="pubsub", since="7.0.0",
         syntax="shardchannel ...",
         summary="Subscribes the client to shard channels.", complexity="O(N) for N shard channels")  # fmt: skip
def ssubscribe(session: Client, args: list[bytes]) -> bytes:
    # Unlike the two above, Redis never allowed it in a transaction.
    if session.deny_blocking:
        raise CommandError(_SSUBSCRIBE_DENIED)
    return _each(session, args[1:], b"ssubscribe", session.broker.pubsub.subscribe_shard, shard=True)


@command("SUNSUBSCRIBE", arity=-1, flags=_SUBSCRIBING, keys=(keys(NOT_KEY),), group="pubsub", since="7.0.0",
         syntax="[shardchannel ...]", summary="Unsubscribes the client from these shard channels, or from all.",
         complexity="O(N) for N shard channels")  # fmt: skip
def sunsubscribe(session: Client, args: list[bytes]) -> bytes:
    names = args[1:] or list(session.shard_channels)
    return _each(session, names, b"sunsubscribe", session.broker.pubsub.unsubscribe_shard, shard=True)


def _each(
    session: Client, names: list[bytes], kind: bytes, act: Callable[[Client, bytes], None], shard: bool = False
) -> bytes:
    """Subscribes to each name, or unsubscribes from it, and answers each with the number of subscriptions left."""
    start = session.resp.push_header(3) + bulk(kind)
    answers = []
    for name in names:
        act(session, name)
        answers.append(start + bulk(name) + _count(session, shard))
    if not names:
        answers.append(start + session.resp.null + _count(session, shard))
    reply = b"".join(answers)
    if session.flags & (REPLY_OFF | REPLY_SKIP):
        session.push(reply)
        return NO_REPLY
    return reply


def _count(session: Client, shard: bool) -> bytes:
    """Returns the number of subscriptions; shard channels are counted separately, channels and patterns together."""
    return integer(len(session.shard_channels) if shard else session.subscriptions())


# Publishing


@command("PUBLISH", arity=3, flags=_PUBLISHING, group="pubsub", since="2.0.0",
         syntax="channel message", summary="Sends a message to a channel.",
         complexity="O(N+M) for N subscribers of the channel and M patterns in all")  # fmt: skip
def publish(session: Client, args: list[bytes]) -> bytes:
    pubsub = session.broker.pubsub
    if pubsub.captors:
        captors = pubsub.capturing(args[1])
        if captors:
            return _captured(session, args, captors, pubsub.publish)
    return _published(session, args, pubsub.publish(args[1], args[2]))


@command("SPUBLISH", arity=3, flags=_PUBLISHING, keys=(key(NOT_KEY),), group="pubsub", since="7.0.0",
         syntax="shardchannel message", summary="Sends a message to a shard channel.",
         complexity="O(N) for N subscribers of the shard channel")  # fmt: skip
def spublish(session: Client, args: list[bytes]) -> bytes:
    pubsub = session.broker.pubsub
    if pubsub.captors:
        captors = pubsub.capturing_shard(args[1])
        if captors:
            return _captured(session, args, captors, pubsub.publish_shard)
    return _published(session, args, pubsub.publish_shard(args[1], args[2]))


def _published(session: Client, args: list[bytes], receivers: int) -> bytes:
    """Passes the message on to replicas, if there are any, and returns the reply."""
    effects = session.broker.keyspace.effects
    if effects.replica_sinks:
        effects.publish(session.db.index, args)
        session.broker.replica_waits.published.add(session)
    return integer(receivers)


def _captured(
    session: Client, args: list[bytes], captors: list[Captor], publish: Callable[[bytes, bytes], int]
) -> bytes:
    """Adds the message to the streams that capture it, sends it to subscribers, and returns the reply.

    Both are one unit for replicas; the journal gets the entries alone.
    """
    broker = session.broker
    state = broker.state
    if state.out_of_memory and broker.eviction.refuses():
        raise CommandError(OUT_OF_MEMORY)
    if state.write_refusal is not None:
        raise CommandError(state.write_refusal)
    if state.too_few_replicas:
        raise CommandError(NO_REPLICAS)
    effects = broker.keyspace.effects
    effects.begin()
    try:
        captured = sum([captor.capture(args[1], args[2]) for captor in captors])
        reply = _published(session, args, captured + publish(args[1], args[2]))
    finally:
        effects.end()
    # The changes are still to be counted, but everything has been propagated.
    effects.replace_with()
    return reply


# Inspecting

container("PUBSUB", group="pubsub", since="2.8.0", summary="A container for commands about subscriptions.")


@command("PUBSUB|CHANNELS", arity=-2, flags=_LISTING, group="pubsub", since="2.8.0",
         syntax="[pattern]", summary="Returns the channels with subscribers.",
         complexity="O(N) for N channels with subscribers")  # fmt: skip
def pubsub_channels(session: Client, args: list[bytes]) -> bytes:
    return _matching(session.broker.pubsub.channels, args)


@command("PUBSUB|SHARDCHANNELS", arity=-2, flags=_LISTING, group="pubsub", since="7.0.0",
         syntax="[pattern]", summary="Returns the shard channels with subscribers.",
         complexity="O(N) for N shard channels with subscribers")  # fmt: skip
def pubsub_shardchannels(session: Client, args: list[bytes]) -> bytes:
    return _matching(session.broker.pubsub.shard_channels, args)


@command("PUBSUB|NUMSUB", arity=-2, flags=_LISTING, group="pubsub", since="2.8.0",
         syntax="[channel ...]",
         summary="Returns the number of subscribers of channels.", complexity="O(N) for N channels")  # fmt: skip
def pubsub_numsub(session: Client, args: list[bytes]) -> bytes:
    return _numbers(session.broker.pubsub.channels, args)


@command("PUBSUB|SHARDNUMSUB", arity=-2, flags=_LISTING, group="pubsub", since="7.0.0",
         syntax="[shardchannel ...]", summary="Returns the number of subscribers of shard channels.",
         complexity="O(N) for N shard channels")  # fmt: skip
def pubsub_shardnumsub(session: Client, args: list[bytes]) -> bytes:
    return _numbers(session.broker.pubsub.shard_channels, args)


@command("PUBSUB|NUMPAT", arity=2, flags=_LISTING, group="pubsub", since="2.8.0",
         summary="Returns the number of patterns with subscribers.", complexity="O(1)")  # fmt: skip
def pubsub_numpat(session: Client, args: list[bytes]) -> bytes:
    return integer(len(session.broker.pubsub.patterns))


@command("PUBSUB|HELP", arity=2, flags=LOADING | STALE, group="pubsub", since="6.2.0",
         summary="Prints this help.", complexity="O(1)")  # fmt: skip
def pubsub_help(session: Client, args: list[bytes]) -> bytes:
    return array([simple(line) for line in _HELP])


def _matching(channels: Iterable[bytes], args: list[bytes]) -> bytes:
    if len(args) > 3:
        raise CommandError(wrong_form(args))
    if len(args) == 2:
        return bulks(list(channels))
    matches = Glob(args[2]).match
    return bulks([channel for channel in channels if matches(channel)])


def _numbers(channels: Mapping[bytes, Collection[object]], args: list[bytes]) -> bytes:
    parts = [array_header(2 * len(args) - 4)]
    for channel in args[2:]:
        parts += [bulk(channel), integer(len(channels.get(channel, ())))]
    return b"".join(parts)
