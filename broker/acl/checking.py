"""Whether a selector permits a request: its command, each of its keys and each of its channels.

This is executed for every request of a client that may not do everything. So where a command's keys are is worked out
once per command; most have a single key at a fixed place, and what is done to it is known as well.
"""

from __future__ import annotations

from typing import Final

from broker.acl.selector import READ, WRITE, Selector
from broker.process.globs import is_glob
from broker.table.command import ACCESS, DECLARED, DELETE, INSERT, NO_AUTH, NOT_KEY, UPDATE, Command
from broker.table.key_access import DECIDED_BY_OPTIONS, keys_and_access
from protocol.numbers import parse_integer

PERMITTED: Final = 0
"""Otherwise a verdict is one of the reasons below, with the position of the denied argument added."""

COMMAND_DENIED: Final = 1 << 40
KEY_DENIED: Final = 2 << 40
CHANNEL_DENIED: Final = 4 << 40
POSITION: Final = (1 << 40) - 1

_LITERAL: Final = 1
_PATTERNS: Final = 2
_CAPTURED: Final = 3


class _Plan:
    """What must be checked for one command besides the command itself.

    `has_keys` is False if it has none. `single` says that its only key is the first argument, `needs` what the user
    must be permitted for it; for a command whose options decide that, only requests of `plain_size` words are so
    simple.
    `channels` says how to compare channels, which are the arguments from the first to the end, or only the first;
    those that a stream is to capture follow a word of XCFGSET.
    """

    __slots__ = ("channels", "has_keys", "needs", "only_first", "plain_size", "single")

    def __init__(self, command: Command) -> None:
        specs = [spec for spec in command.key_specs if NOT_KEY not in spec.flags]
        self.has_keys = bool(specs) or command.find_keys is not None
        first = specs[0] if len(specs) == 1 and command.find_keys is None else None
        self.single = (
            first is not None and first.is_plain_range and first.index == 1 and first.last == 0 and first.step == 1
        )
        self.needs = 0
        self.plain_size = 0
        if self.single and first is not None:
            if command.name in DECIDED_BY_OPTIONS:
                self.plain_size = command.min_args
                access = DECIDED_BY_OPTIONS[command.name]([b""] * command.min_args)
                self.needs = _needs(access)
            else:
                self.needs = _needs(first.flags)
        name = command.name
        self.channels = 0
        if name in (b"subscribe", b"ssubscribe", b"publish", b"spublish"):
            self.channels = _LITERAL
        elif name == b"psubscribe":
            self.channels = _PATTERNS
        elif name == b"xcfgset":
            self.channels = _CAPTURED
        self.only_first = name in (b"publish", b"spublish")

    def channel_positions(self, args: list[bytes]) -> list[int]:
        """Returns the positions of the channels among the arguments."""
        if self.channels == _CAPTURED:
            return _captured_positions(args)
        return list(range(1, 2 if self.only_first else len(args)))


def _captured_positions(args: list[bytes]) -> list[int]:
    found: list[int] = []
    at = 2
    while at < len(args) - 1:
        if args[at].upper() == b"CHANNELS":
            count = parse_integer(args[at + 1])
            first = at + 2
            at = min(first + max(count or 0, 0), len(args))
            found += range(first, at)
        else:
            at += 1
    return found


# By command ID; filled when first needed, since the commands are declared by floors above this one.
_PLANS: Final[list[_Plan]] = []


def verdict(selectors: list[Selector], command: Command, args: list[bytes]) -> int:
    """PERMITTED if one of the selectors permits the request, else the most telling reason, as Redis chooses it."""
    if command.id >= len(_PLANS):
        _make_plans()
    plan = _PLANS[command.id]
    worst = COMMAND_DENIED
    for selector in selectors:
        found = _check(selector, plan, command, args)
        if found == PERMITTED:
            return PERMITTED
        if found > worst:
            worst = found
    return worst


def _make_plans() -> None:
    _PLANS.clear()
    _PLANS.extend([_Plan(command) for command in DECLARED.values()])


def permits_with_all_keys(selectors: list[Selector], command: Command, args: list[bytes], permissions: int) -> bool:
    """Whether a selector permits the request, and such access to every key."""
    return any(
        selector.permits_all_keys(permissions) and verdict([selector], command, args) == PERMITTED
        for selector in selectors
    )


def _check(selector: Selector, plan: _Plan, command: Command, args: list[bytes]) -> int:
    if (
        not selector.allowed[command.id]
        and not command.flags & NO_AUTH
        and not _first_argument(selector, command, args)
    ):
        return COMMAND_DENIED
    if plan.has_keys and not selector.all_keys:
        if plan.single and (not plan.plain_size or len(args) == plan.plain_size):
            if not _key_permitted(selector, args[1], plan.needs):
                return KEY_DENIED + 1
        else:
            for position, access in keys_and_access(command, args):
                if not _key_permitted(selector, args[position], _needs(access)):
                    return KEY_DENIED + position
    if plan.channels and not selector.all_channels and (plan.channels != _CAPTURED or command.extension):
        for position in plan.channel_positions(args):
            channel = args[position]
            is_pattern = plan.channels == _PATTERNS or (plan.channels == _CAPTURED and is_glob(channel))
            if not channel_permitted(selector, channel, is_pattern):
                return CHANNEL_DENIED + position
    return PERMITTED


def _first_argument(selector: Selector, command: Command, args: list[bytes]) -> bool:
    words = selector.first_arguments.get(command.id)
    return words is not None and len(args) > 1 and args[1].lower().partition(b"\0")[0] in words


def _key_permitted(selector: Selector, key: bytes, needs: int) -> bool:
    for pattern in selector.keys.values():
        if pattern.permissions & needs != needs:
            continue
        prefix = pattern.prefix
        if prefix is not None:
            if key.startswith(prefix) and (prefix or key):
                return True
        elif pattern.matches(key):
            return True
    return False


def channel_permitted(selector: Selector, channel: bytes, is_pattern: bool) -> bool:
    """Whether one of its channel patterns matches; a subscription to a pattern must be permitted literally."""
    if selector.all_channels:
        return True
    if is_pattern:
        return channel in selector.channels
    return any(glob.match(channel) and (channel or not glob.matches_all) for glob in selector.channels.values())


def _needs(access: tuple[str, ...]) -> int:
    """The permissions that a key needs for what is done to it; none for a look at its metadata."""
    needs = READ if ACCESS in access else 0
    return needs | WRITE if INSERT in access or DELETE in access or UPDATE in access else needs
