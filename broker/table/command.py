"""The command table: everything about a command is declared once, next to its function.

    @command("LPUSH", arity=-3, flags=WRITE | DENYOOM | FAST, keys=(key(RW, INSERT),), group="list",
             since="1.0.0", summary="...", complexity="O(1) for each element added")
    def lpush(session: Session, args: list[bytes]) -> bytes: ...

COMMAND, COMMAND DOCS, ACL categories, key extraction, INFO commandstats and docs/commands.md all derive from this
declaration. `arity` is Redis's: the number of arguments including the name, negative for "at least". A subcommand is
declared under its full name (`"XINFO|STREAM"`), its container by `container()`.

The declarations are shared by all brokers in the process and never change; each broker has its own `CommandTable`,
whose `Command` objects hold that broker's counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from broker.observation.histogram import Histogram
from protocol.numbers import parse_integer

Handler = Callable[[Any, list[bytes]], bytes]
"""A command function: takes the session and all arguments including the name; returns the encoded reply, b"" for none.
"""

# Flags, named as COMMAND INFO prints them.
WRITE: Final = 1 << 0
READONLY: Final = 1 << 1
DENYOOM: Final = 1 << 2
ADMIN: Final = 1 << 3
PUBSUB: Final = 1 << 4
NOSCRIPT: Final = 1 << 5
BLOCKING: Final = 1 << 6
LOADING: Final = 1 << 7
STALE: Final = 1 << 8
SKIP_MONITOR: Final = 1 << 9
SKIP_SLOWLOG: Final = 1 << 10
ASKING: Final = 1 << 11
FAST: Final = 1 << 12
NO_AUTH: Final = 1 << 13
MAY_REPLICATE: Final = 1 << 14
NO_MULTI: Final = 1 << 15
MOVABLEKEYS: Final = 1 << 16
ALLOW_BUSY: Final = 1 << 17
NO_ASYNC_LOADING: Final = 1 << 18
NO_MANDATORY_KEYS: Final = 1 << 19
PROTECTED: Final = 1 << 20
TOUCHES_ARBITRARY_KEYS: Final = 1 << 21
SCRIPT_RUNNER: Final = 1 << 22
IN_SUBSCRIBED_MODE: Final = 1 << 30
"""Not shown to clients: a RESP2 client may send this command while subscribed."""
NEVER_QUEUED: Final = 1 << 31
"""Not shown to clients: executed immediately inside MULTI (EXEC, DISCARD, MULTI, WATCH, QUIT, RESET)."""

FLAG_NAMES: Final = {
    WRITE: b"write",
    READONLY: b"readonly",
    DENYOOM: b"denyoom",
    ADMIN: b"admin",
    PUBSUB: b"pubsub",
    NOSCRIPT: b"noscript",
    BLOCKING: b"blocking",
    LOADING: b"loading",
    STALE: b"stale",
    SKIP_MONITOR: b"skip_monitor",
    SKIP_SLOWLOG: b"skip_slowlog",
    ASKING: b"asking",
    FAST: b"fast",
    NO_AUTH: b"no_auth",
    MAY_REPLICATE: b"may_replicate",
    NO_MULTI: b"no_multi",
    MOVABLEKEYS: b"movablekeys",
    ALLOW_BUSY: b"allow_busy",
    NO_ASYNC_LOADING: b"no_async_loading",
    NO_MANDATORY_KEYS: b"no_mandatory_keys",
    TOUCHES_ARBITRARY_KEYS: b"touches_arbitrary_keys",
    SCRIPT_RUNNER: b"script_runner",
}

# What a command does with a key; names as COMMAND INFO prints them.
RO: Final = "RO"
RW: Final = "RW"
OW: Final = "OW"
RM: Final = "RM"
ACCESS: Final = "access"
UPDATE: Final = "update"
INSERT: Final = "insert"
DELETE: Final = "delete"
NOT_KEY: Final = "not_key"
INCOMPLETE: Final = "incomplete"
VARIABLE_FLAGS: Final = "variable_flags"

NO_LIMIT: Final = (1 << 62) - 1
"""Of the number of arguments: the largest integer that compiled code compares without an object."""


class KeySpec:
    """The positions of keys among the arguments: Redis's key specification.

    The search begins at argument `index`, or after the token `keyword` (searched for from argument `start`, or
    backwards from the end if `start` is negative). From there, the keys are either a range (`last` relative to the
    beginning, or to the end if negative; every `step`-th argument; `limit` 2 means half of the rest) or, with
    `counted`, there is a number of keys at offset `count_at` and the keys start at offset `first`. `notes` is for
    human readers. A specification with `unknown` set says that there are keys that only `find_keys` can find.
    """

    __slots__ = (
        "count_at", "counted", "first", "flags", "index", "keyword", "last", "limit", "notes", "start", "step",
        "unknown",
    )  # fmt: skip

    def __init__(
        self,
        flags: Sequence[str],
        *,
        index: int = 0,
        keyword: bytes = b"",
        start: int = 1,
        last: int = 0,
        step: int = 1,
        limit: int = 0,
        counted: bool = False,
        count_at: int = 0,
        first: int = 1,
        notes: str = "",
        unknown: bool = False,
    ) -> None:
        self.flags = tuple(flags)
        self.index = index
        self.keyword = keyword
        self.start = start
        self.last = last
        self.step = step
        self.limit = limit
        self.counted = counted
        self.count_at = count_at
        self.first = first
        self.notes = notes
        self.unknown = unknown

    @property
    def is_plain_range(self) -> bool:
        """Whether it is a simple range of arguments, the only kind that clients predating Redis 7 understand."""
        return not (self.keyword or self.counted or self.unknown)

    def positions(self, args: Sequence[bytes]) -> list[int]:
        """The positions of the keys in `args`; [] if the arguments do not fit the specification."""
        begin = 0 if self.unknown else self._begin(args)
        if begin <= 0 or begin >= len(args):
            return []
        if self.counted:
            if not self.counts(args):
                return []
            first = begin + self.first
            return list(range(first, first + int(args[begin + self.count_at]) * self.step, self.step))
        if self.last >= 0:
            last = begin + self.last
        elif self.limit > 1:
            last = begin + (len(args) - begin) // self.limit + self.last
        else:
            last = len(args) + self.last
        return list(range(begin, min(last, len(args) - 1) + 1, self.step)) if last < len(args) else []

    def counts(self, args: Sequence[bytes]) -> bool:
        """Whether the number of keys, for a specification that has one, fits the arguments."""
        begin = self._begin(args)
        at = begin + self.count_at
        count = parse_integer(args[at]) if 0 < at < len(args) else None
        return count is not None and count > 0 and begin + self.first + (count - 1) * self.step < len(args)

    def _begin(self, args: Sequence[bytes]) -> int:
        if not self.keyword:
            return self.index
        n = len(args)
        places = range(self.start, n - 1) if self.start > 0 else range(n + self.start, 0, -1)
        for i in places:
            if args[i].upper() == self.keyword:
                return i + 1
        return 0


def key(*flags: str, at: int = 1) -> KeySpec:
    """One key at argument `at`."""
    return KeySpec(flags, index=at)


def keys(*flags: str, at: int = 1, last: int = -1, step: int = 1) -> KeySpec:
    """Keys from argument `at` to `last` (negative: from the end), every `step`-th argument."""
    return KeySpec(flags, index=at, last=last if last < 0 else last - at, step=step)


def counted_keys(*flags: str, at: int = 1, step: int = 1) -> KeySpec:
    """Keys in every `step`-th argument after argument `at`, which is the number of keys."""
    return KeySpec(flags, index=at, counted=True, step=step)


def keys_behind(keyword: bytes, *flags: str, start: int = 1, last: int = -1, limit: int = 0) -> KeySpec:
    """Keys after the token `keyword`; `limit` 2 takes the first half of what follows."""
    return KeySpec(flags, keyword=keyword, start=start, last=last, limit=limit)


def unknown_keys(*flags: str, notes: str) -> KeySpec:
    """Keys that no specification can describe; the command's `find_keys` finds them as far as possible."""
    return KeySpec(flags, notes=notes, unknown=True)


class Command:
    """One command as declared, with one broker's counters.

    `id` is its place in DECLARED. `name` is in lower case, `container|sub` for subcommands. `min_args` and `max_args`
    include the name.
    `calls`, `rejected` (refused before it ran), `failed` (replied with an error), `seconds` and `histogram` (of the
    time a call takes, None before the first) are for INFO. `timed_alone` is whether the clock is read after each
    call, even if the next request is for the same command. `extension` is whether only brokers with
    `stream-extensions` have it.
    """

    __slots__ = (
        "arity", "calls", "categories", "complexity", "deprecated_since", "extension", "failed", "find_keys", "flags",
        "group", "handler", "histogram", "id", "key_specs", "max_args", "min_args", "name", "reads_only", "rejected",
        "replaced_by", "seconds", "since", "subcommands", "summary", "syntax", "system", "timed_alone", "tips",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        handler: Handler,
        *,
        arity: int,
        flags: int,
        key_specs: Sequence[KeySpec],
        group: str,
        since: str,
        summary: str,
        complexity: str,
        syntax: str,
        categories: Sequence[str],
        find_keys: Callable[[list[bytes]], list[int]] | None,
        reads_only: Callable[[Any, list[bytes]], bool] | None,
        tips: Sequence[str],
        deprecated_since: str,
        replaced_by: str,
        system: bool,
        extension: bool,
    ) -> None:
        self.id = 0
        self.name = name.lower().encode()
        self.handler = handler
        self.arity = arity
        self.min_args = abs(arity)
        self.max_args = arity if arity > 0 else NO_LIMIT
        self.key_specs = tuple(key_specs)
        self.flags = flags | MOVABLEKEYS if _has_movable_keys(self.key_specs) else flags
        self.group = group
        self.since = since
        self.summary = summary
        self.complexity = complexity
        self.syntax = syntax
        self.find_keys = find_keys
        self.reads_only = reads_only
        self.tips = tuple(tips)
        self.deprecated_since = deprecated_since
        self.system = system
        self.extension = extension
        self.replaced_by = replaced_by
        self.categories = _categories(flags, group, categories, handler is _no_handler)
        self.subcommands: dict[bytes, Command] = {}
        self.calls = 0
        self.rejected = 0
        self.failed = 0
        self.seconds = 0.0
        self.histogram: Histogram | None = None
        self.timed_alone = False

    def with_own_counters(self) -> Command:
        """The same command, with counters that begin at zero."""
        copy = Command(
            self.name.decode(), self.handler, arity=self.arity, flags=self.flags, key_specs=self.key_specs,
            group=self.group, since=self.since, summary=self.summary, complexity=self.complexity, syntax=self.syntax,
            categories=self.categories, find_keys=self.find_keys, reads_only=self.reads_only, tips=self.tips,
            deprecated_since=self.deprecated_since, replaced_by=self.replaced_by, system=self.system,
            extension=self.extension,
        )  # fmt: skip
        copy.id = self.id
        return copy

    def key_positions(self, args: list[bytes]) -> list[int]:
        """The positions of the keys in `args`, [] if they can't be found.

        If a number of keys is not a number, or exceeds the arguments, no key is certain.
        """
        if self.find_keys is not None:
            return self.find_keys(args)
        if any(spec.counted and not spec.counts(args) for spec in self.key_specs):
            return []
        return [i for spec in self.key_specs if NOT_KEY not in spec.flags for i in spec.positions(args)]


def _has_movable_keys(specs: Sequence[KeySpec]) -> bool:
    """Whether first, last and step can't describe where all keys are, so that clients must ask COMMAND GETKEYS."""
    if len(specs) == 1 and specs[0].is_plain_range:
        return INCOMPLETE in specs[0].flags
    previous = 0
    for spec in specs:
        if not spec.is_plain_range or spec.step != 1 or INCOMPLETE in spec.flags:
            return True
        if previous and previous != spec.index - 1:
            return True
        previous = spec.index + spec.last
    return False


def _categories(flags: int, group: str, extra: Sequence[str], is_container: bool) -> tuple[str, ...]:
    """A command's ACL categories, in Redis's order.

    They are those that its flags imply, those declared, and its group's, unless the category of a data type is declared
    (SORT is generic, but belongs to @list, @set and @sortedset).
    """
    found = set(extra)
    if flags & WRITE:
        found.add("write")
    if flags & READONLY and "scripting" not in extra and group != "scripting":
        found.add("read")
    if flags & ADMIN:
        found |= {"admin", "dangerous"}
    if flags & PUBSUB:
        found.add("pubsub")
    found.add("fast" if flags & FAST else "slow")
    if flags & BLOCKING:
        found.add("blocking")
    if not is_container and not _OF_GROUPS.intersection(extra):
        own = {"sorted_set": "sortedset", "transactions": "transaction", "generic": "keyspace"}.get(group, group)
        found |= _OF_GROUPS & {own}
    return tuple(category for category in CATEGORIES if category in found)


CATEGORIES: Final = (
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "array", "bitmap", "hyperloglog",
    "geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction",
    "scripting",
)  # fmt: skip
"""All ACL categories, in Redis's order."""

_OF_GROUPS: Final = frozenset(CATEGORIES) - {
    "read", "write", "pubsub", "admin", "fast", "slow", "blocking", "dangerous",
}  # fmt: skip


DECLARED: Final[dict[bytes, Command]] = {}
"""All declared commands by full lower-case name; importing broker.commands fills it."""

EXTENDED: Final[dict[bytes, Command]] = {}
"""Commands of DECLARED as brokers with `stream-extensions` have them: with further options."""


def command(
    name: str,
    *,
    arity: int,
    flags: int,
    group: str,
    since: str,
    summary: str,
    complexity: str,
    syntax: str = "",
    keys: Sequence[KeySpec] = (),
    categories: Sequence[str] = (),
    find_keys: Callable[[list[bytes]], list[int]] | None = None,
    reads_only: Callable[[Any, list[bytes]], bool] | None = None,
    tips: Sequence[str] = (),
    deprecated_since: str = "",
    replaced_by: str = "",
    system: bool = False,
    extension: bool = False,
) -> Callable[[Handler], Handler]:
    """Declare the decorated function as the command `name` (`"XINFO|STREAM"` for a subcommand).

    `syntax` describes its arguments in the notation of broker/table/syntax.py, and is parsed when a client asks.
    `categories` are ACL categories besides those implied by flags and group; `find_keys` finds keys that no key
    specification can; `reads_only(session, args)` returns whether this call of a command that may write will not;
    `tips` are Redis's command tips; `system` marks commands that are not for applications. `extension` marks what only
    brokers with `stream-extensions` have: a command, or another form of one that is declared already.
    """

    def declare(handler: Handler) -> Handler:
        declared = Command(
            name, handler, arity=arity, flags=flags, key_specs=keys, group=group, since=since, summary=summary,
            complexity=complexity, syntax=syntax, categories=categories, find_keys=find_keys, reads_only=reads_only,
            tips=tips, deprecated_since=deprecated_since, replaced_by=replaced_by, system=system, extension=extension,
        )  # fmt: skip
        if extension and declared.name in DECLARED:
            declared.id = DECLARED[declared.name].id
            EXTENDED[declared.name] = declared
            return handler
        if declared.name in DECLARED:
            raise ValueError(f"command {name} declared twice")
        declared.id = len(DECLARED)
        DECLARED[declared.name] = declared
        return handler

    return declare


def container(
    name: str,
    *,
    group: str,
    since: str,
    summary: str,
    flags: int = 0,
    arity: int = -2,
    categories: Sequence[str] = (),
) -> None:
    """Declare a command that consists only of subcommands."""
    command(
        name,
        arity=arity,
        flags=flags,
        group=group,
        since=since,
        summary=summary,
        complexity="Depends on subcommand.",
        categories=categories,
    )(_no_handler)


def _no_handler(session: object, args: list[bytes]) -> bytes:
    raise AssertionError("a container is never called: the table resolves its subcommands")


_NEVER_PLAIN: Final = (b"wait", b"waitaof")


class CommandTable:
    """One broker's commands.

    `plain` maps the names of commands without subcommands, in upper and in lower case, to commands: the only lookup on
    the hot path. It lacks some that depend on what the same pipeline has written before. `find` handles every case.
    """

    def __init__(self, renamed: Sequence[tuple[bytes, bytes]] = (), *, extensions: bool = False) -> None:
        """`renamed` pairs commands with their new names, b"" to remove one (the directive rename-command).

        `extensions` is the directive stream-extensions. Raises ValueError if a command does not exist or a name is
        taken.
        """
        self.by_name: dict[bytes, Command] = {}
        self.plain: dict[bytes, Command] = {}
        chosen = [EXTENDED.get(name, declared) if extensions else declared for name, declared in DECLARED.items()]
        chosen = [declared for declared in chosen if extensions or not declared.extension]
        for declared in chosen:
            if b"|" not in declared.name:
                self._add(declared.with_own_counters())
        for declared in chosen:
            outer, bar, inner = declared.name.partition(b"|")
            if bar:
                self.by_name[outer].subcommands[inner] = declared.with_own_counters()
        for old, new in renamed:
            self._rename(old.lower(), new.lower())
        for name, found in self.by_name.items():
            if not found.subcommands and found.name not in _NEVER_PLAIN:
                self.plain[name] = self.plain[name.upper()] = found

    def _rename(self, old: bytes, new: bytes) -> None:
        found = self.by_name.pop(old, None)
        if found is None:
            raise ValueError(f"rename-command: no such command: {old.decode(errors='replace')}")
        if new in self.by_name:
            raise ValueError(f"rename-command: the name is taken: {new.decode(errors='replace')}")
        if new:
            self.by_name[new] = found

    def _add(self, found: Command) -> None:
        found.subcommands = {}
        self.by_name[found.name] = found

    def find(self, args: Sequence[bytes]) -> Command | None:
        """The command that `args` begins with, in upper, lower or mixed case; None if unknown.

        A container's name alone finds the container, whose arity then rejects it (COMMAND alone is a command).
        """
        found = self.by_name.get(args[0].lower())
        if found is None or not found.subcommands or len(args) == 1:
            return found
        return found.subcommands.get(args[1].lower())

    def __iter__(self) -> Iterator[Command]:
        """All commands, each container before its subcommands."""
        for found in self.by_name.values():
            yield found
            yield from found.subcommands.values()
