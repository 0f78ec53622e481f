"""COMMAND: the command table as clients see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from broker.broker import Client
from broker.commands.help import declare_help
from broker.process.globs import Glob
from broker.table import command as registry
from broker.table.command import FLAG_NAMES, LOADING, NO_MANDATORY_KEYS, NOT_KEY, STALE, Command, KeySpec, command
from broker.table.key_access import keys_and_access
from broker.table.syntax import EMPTY_TOKEN, NO_KEY_SPEC, Argument, arguments_of
from protocol.errors import SYNTAX, CommandError
from protocol.replies import Dialect, array, bulk, bulks, integer, simple

INVALID_COMMAND: Final = b"ERR Invalid command specified"
NO_KEYS: Final = b"ERR The command has no key arguments"
WRONG_COUNT: Final = b"ERR Invalid number of arguments specified for command"
INVALID_ARGUMENTS: Final = b"ERR Invalid arguments specified for command"

_ANY_TIME: Final = LOADING | STALE
# In the order in which Redis lists them, without those that it hides.
SHOWN_FLAGS: Final = (
    registry.WRITE, registry.READONLY, registry.DENYOOM, registry.ADMIN, registry.PUBSUB, registry.NOSCRIPT,
    registry.BLOCKING, registry.LOADING, registry.STALE, registry.SKIP_MONITOR, registry.SKIP_SLOWLOG,
    registry.ASKING, registry.FAST, registry.NO_AUTH, registry.NO_MANDATORY_KEYS, registry.NO_ASYNC_LOADING,
    registry.NO_MULTI, registry.MOVABLEKEYS, registry.ALLOW_BUSY, registry.SCRIPT_RUNNER,
)  # fmt: skip

_UNORDERED: Final = ("nondeterministic_output_order",)


@command("COMMAND", arity=-1, flags=_ANY_TIME, group="server", since="2.8.13", categories=("connection",),
         summary="Returns information about all commands.", complexity="O(N) where N is the number of commands",
         tips=_UNORDERED)  # fmt: skip
def command_(session: Client, args: list[bytes]) -> bytes:
    return array([_info(session.resp, each) for each in session.broker.commands.by_name.values()])


declare_help(
    "COMMAND",
    group="server",
    since="5.0.0",
    categories=("connection",),
    usage={
        "DOCS": "[<command-name> ...]",
        "GETKEYS": "<full-command>",
        "GETKEYSANDFLAGS": "<full-command>",
        "INFO": "[<command-name> ...]",
        "LIST": "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
    },
)


@command("COMMAND|COUNT", arity=2, flags=_ANY_TIME, group="server", since="2.8.13", categories=("connection",),
         summary="Returns the number of commands.", complexity="O(1)")  # fmt: skip
def command_count(session: Client, args: list[bytes]) -> bytes:
    return integer(len(session.broker.commands.by_name))


@command("COMMAND|INFO", arity=-2, flags=_ANY_TIME, group="server", since="2.8.13", categories=("connection",),
         syntax="[command-name ...]", summary="Returns information about commands, by default all.",
         complexity="O(N) where N is the number of commands to look up", tips=_UNORDERED)  # fmt: skip
def command_info(session: Client, args: list[bytes]) -> bytes:
    if len(args) == 2:
        return command_(session, args)
    resp = session.resp
    return array([_info(resp, found) if found else resp.null for found in _named(session, args[2:])])


@command("COMMAND|DOCS", arity=-2, flags=_ANY_TIME, group="server", since="7.0.0", categories=("connection",),
         syntax="[command-name ...]", summary="Returns documentation of commands, by default all.",
         complexity="O(N) where N is the number of commands to look up", tips=_UNORDERED)  # fmt: skip
def command_docs(session: Client, args: list[bytes]) -> bytes:
    resp = session.resp
    table = session.broker.commands.by_name.values()
    chosen = [found for found in _named(session, args[2:]) if found] if len(args) > 2 else list(table)
    return resp.map((bulk(found.name), _docs(resp, found)) for found in chosen)


@command("COMMAND|LIST", arity=-2, flags=_ANY_TIME, group="server", since="7.0.0", categories=("connection",),
         syntax="[FILTERBY <MODULE module-name|ACLCAT category|PATTERN pattern>]",
         summary="Returns the names of commands.", complexity="O(N) where N is the number of commands",
         tips=_UNORDERED)  # fmt: skip
def command_list(session: Client, args: list[bytes]) -> bytes:
    chosen: Callable[[Command], bool] | None = None
    if len(args) == 5 and args[2].upper() == b"FILTERBY":
        chosen = _filter(args[3].upper(), args[4])
    elif len(args) != 2:
        raise CommandError(SYNTAX)
    return bulks([each.name for each in session.broker.commands if chosen is None or chosen(each)])


def _filter(kind: bytes, argument: bytes) -> Callable[[Command], bool]:
    if kind == b"MODULE":
        return lambda each: False
    if kind == b"ACLCAT":
        category = argument.lower().decode(errors="replace")
        return lambda each: category in each.categories
    if kind == b"PATTERN":
        matches = Glob(argument, nocase=True).match
        return lambda each: matches(each.name)
    raise CommandError(SYNTAX)


@command("COMMAND|GETKEYS", arity=-3, flags=_ANY_TIME, group="server", since="2.8.13", categories=("connection",),
         syntax="command [arg ...]", summary="Returns the keys in a command's arguments.",
         complexity="O(N) where N is the number of arguments to the command")  # fmt: skip
def command_getkeys(session: Client, args: list[bytes]) -> bytes:
    given = args[2:]
    return bulks([given[position] for position, _ in _keys_of(session, given)])


@command("COMMAND|GETKEYSANDFLAGS", arity=-3, flags=_ANY_TIME, group="server", since="7.0.0",
         categories=("connection",),
         syntax="command [arg ...]",
         summary="Returns the keys in a command's arguments, and how it accesses each.",
         complexity="O(N) where N is the number of arguments to the command")  # fmt: skip
def command_getkeysandflags(session: Client, args: list[bytes]) -> bytes:
    given = args[2:]
    resp = session.resp
    return array([array([bulk(given[position]), _words(resp, flags)]) for position, flags in _keys_of(session, given)])


def _keys_of(session: Client, given: list[bytes]) -> list[tuple[int, tuple[str, ...]]]:
    """Returns the positions of the keys in a full command, and the access flags of each."""
    found = session.broker.commands.find(given)
    if found is None:
        raise CommandError(INVALID_COMMAND)
    if found.find_keys is None and all(NOT_KEY in spec.flags for spec in found.key_specs):
        raise CommandError(NO_KEYS)
    if not found.min_args <= len(given) <= found.max_args:
        raise CommandError(WRONG_COUNT)
    keys = keys_and_access(found, given)
    if not keys and not found.flags & NO_MANDATORY_KEYS:
        raise CommandError(INVALID_ARGUMENTS)
    return keys


def _named(session: Client, names: list[bytes]) -> Iterator[Command | None]:
    """Yields the commands of those names (`container|subcommand` for a subcommand); None for an unknown one."""
    table = session.broker.commands.by_name
    for name in names:
        outer, bar, inner = name.lower().partition(b"|")
        found = table.get(outer)
        yield found.subcommands.get(inner) if found is not None and bar else found


def _words(resp: Dialect, words: tuple[str, ...] | list[str]) -> bytes:
    """Encodes a set of simple strings."""
    return resp.set_header(len(words)) + b"".join(simple(word.encode()) for word in words)


def _info(resp: Dialect, found: Command) -> bytes:
    """Encodes one command for COMMAND INFO."""
    first, last, step = _legacy_range(found.key_specs)
    return array(
        [
            bulk(found.name),
            integer(found.arity),
            _words(resp, [FLAG_NAMES[flag].decode() for flag in SHOWN_FLAGS if found.flags & flag]),
            integer(first),
            integer(last),
            integer(step),
            _words(resp, [f"@{category}" for category in found.categories]),
            resp.set_header(len(found.tips)) + b"".join(bulk(tip.encode()) for tip in found.tips),
            resp.set_header(len(found.key_specs)) + b"".join(_key_spec(resp, spec) for spec in found.key_specs),
            # Redis answers with an empty set if there are none, but with an array if there are some.
            array([_info(resp, inner) for inner in found.subcommands.values()])
            if found.subcommands
            else resp.set_header(0),
        ]
    )


def _legacy_range(specs: tuple[KeySpec, ...]) -> tuple[int, int, int]:
    """Returns the key positions as clients of Redis before 7.0 know them: first, last, step."""
    first = last = 0
    for spec in specs:
        if not spec.is_plain_range:
            continue
        end = spec.last + spec.index if spec.last >= 0 else spec.last
        if len(specs) == 1:
            return spec.index, end, spec.step
        if spec.step != 1 or (last and last != spec.index - 1):
            continue
        first = min(first, spec.index) if first else spec.index
        # A position counted from the end lies after any counted from the start.
        last = end if end < 0 or 0 <= last < end else last
    return first, last, 1 if first else 0


def _key_spec(resp: Dialect, spec: KeySpec) -> bytes:
    begin: tuple[bytes, list[tuple[bytes, bytes]]]
    if spec.unknown:
        begin = (b"unknown", [])
    elif spec.keyword:
        begin = (b"keyword", [(bulk(b"keyword"), bulk(spec.keyword)), (bulk(b"startfrom"), integer(spec.start))])
    else:
        begin = (b"index", [(bulk(b"index"), integer(spec.index))])
    find: tuple[bytes, dict[bytes, int]]
    if spec.unknown:
        find = (b"unknown", {})
    elif spec.counted:
        find = (b"keynum", {b"keynumidx": spec.count_at, b"firstkey": spec.first, b"keystep": spec.step})
    else:
        find = (b"range", {b"lastkey": spec.last, b"keystep": spec.step, b"limit": spec.limit})
    notes = [(bulk(b"notes"), bulk(spec.notes.encode()))] if spec.notes else []
    return resp.map(
        [
            *notes,
            (bulk(b"flags"), _words(resp, list(spec.flags))),
            (bulk(b"begin_search"), _typed(resp, begin[0], resp.map(begin[1]))),
            (
                bulk(b"find_keys"),
                _typed(resp, find[0], resp.map((bulk(name), integer(value)) for name, value in find[1].items())),
            ),
        ]
    )


def _typed(resp: Dialect, kind: bytes, spec: bytes) -> bytes:
    return resp.map([(bulk(b"type"), bulk(kind)), (bulk(b"spec"), spec)])


def _docs(resp: Dialect, found: Command) -> bytes:
    """Encodes one command for COMMAND DOCS."""
    pairs = [
        (b"summary", found.summary),
        (b"since", found.since),
        (b"group", found.group.replace("_", "-")),
        (b"complexity", found.complexity),
    ]
    encoded = [(bulk(name), bulk(text.encode())) for name, text in pairs if text]
    marks = [*(["deprecated"] if found.deprecated_since else []), *(["syscmd"] if found.system else [])]
    if marks:
        encoded.append((bulk(b"doc_flags"), _words(resp, marks)))
    if found.deprecated_since:
        encoded.append((bulk(b"deprecated_since"), bulk(found.deprecated_since.encode())))
    if found.replaced_by:
        encoded.append((bulk(b"replaced_by"), bulk(found.replaced_by.encode())))
    if found.syntax:
        encoded.append((bulk(b"arguments"), _arguments(resp, arguments_of(found.syntax))))
    if found.subcommands:
        inner = resp.map((bulk(each.name), _docs(resp, each)) for each in found.subcommands.values())
        encoded.append((bulk(b"subcommands"), inner))
    return resp.map(encoded)


def _arguments(resp: Dialect, arguments: tuple[Argument, ...]) -> bytes:
    return array([_argument(resp, argument) for argument in arguments])


def _argument(resp: Dialect, argument: Argument) -> bytes:
    texts = [
        (b"name", argument.name),
        (b"type", argument.type),
        (b"display_text", argument.shown),
        (b"token", argument.token),
        (b"since", argument.since),
        (b"deprecated_since", argument.deprecated_since),
    ]
    encoded = [(bulk(name), bulk(b"" if text == EMPTY_TOKEN else text.encode())) for name, text in texts if text]
    if argument.key_spec != NO_KEY_SPEC:
        # After name, type and display text: RESP2 clients see the order, so it is Redis's.
        encoded.insert(3, (bulk(b"key_spec_index"), integer(argument.key_spec)))
    marks = {
        "optional": argument.optional,
        "multiple": argument.multiple,
        "multiple_token": argument.repeats_token,
    }
    flags = [name for name, is_set in marks.items() if is_set]
    if flags:
        encoded.append((bulk(b"flags"), _words(resp, flags)))
    if argument.arguments:
        encoded.append((bulk(b"arguments"), _arguments(resp, argument.arguments)))
    return resp.map(encoded)
