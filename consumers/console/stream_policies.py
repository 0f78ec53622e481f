"""The policies of streams and groups, where the server has them: read, offered in a form, and changed.

A form says what it has shown, so that a change sends only the options that its user has changed: what somebody else has
set meanwhile stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from coredis.exceptions import RedisError

from consumers.connecting import Client, Command, Reply
from consumers.console.asking import ask, has_command, pairs
from consumers.console.entered import HEX, TEXT, entered, offer

__all__ = [
    "GROUP", "STREAM", "Change", "Option", "PolicyForm", "changes", "group_command", "group_form", "has_policies",
    "offered", "stream_command", "stream_form", "told",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a policy. word: of the command. name: in the server's reply, and of the form's field.

    unit: of a number. help: a sentence. choices: the words that it can be. many: several values; `lines` of them, since
    they may have blanks. typed: any bytes, in the form's notation; otherwise what is typed is sent as it is.
    """

    word: bytes
    name: str
    title: str
    help: str
    unit: str = ""
    choices: Sequence[str] = ()
    many: bool = False
    typed: bool = False

    @property
    def lines(self) -> bool:
        """Whether a form has a line for each value."""
        return self.many and self.typed

    @property
    def labelled(self) -> str:
        """The label of the form's field."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


GROUP: Final = (
    Option(b"ACKWAIT", "ack-wait", "Ack wait", "An entry that is not acknowledged within this time is delivered again.",
           unit="milliseconds"),
    Option(b"BACKOFF", "backoff", "Backoff", "Waits after the first delivery, the second and so on, with blanks "
           "between, in place of the ack wait; the last one repeats.", unit="milliseconds", many=True),
    Option(b"MAXDELIVER", "max-deliver", "Deliveries at most", "After so many in vain an entry is dead.",
           unit="times"),
    Option(b"DEADLETTER", "dead-letter", "Dead letters go to", "The stream that gets dead entries; without one they "
           "are only acknowledged.", unit="key", typed=True),
    Option(b"MAXINFLIGHT", "max-inflight", "In flight at most", "While so many entries are pending, the group gives "
           "out no new ones.", unit="entries"),
    Option(b"ORDERBY", "order-by", "In order by", "Entries with the same value of this field are delivered one after "
           "the other.", unit="field", typed=True),
)  # fmt: skip

STREAM: Final = (
    Option(b"MAXLEN", "max-len", "Length at most", "What exceeds it goes, the oldest first.", unit="entries"),
    Option(b"MAXAGE", "max-age-ms", "Age at most", "Entries that were added longer ago go.", unit="milliseconds"),
    Option(b"MAXBYTES", "max-bytes", "Size at most", "All entries together, as clients read them.", unit="bytes"),
    Option(b"RETAIN", "retain", "Retention", "limits: entries go when they exceed one. interest: also when every group "
           "has acknowledged them. workqueue: the same, with one group at most.",
           choices=("limits", "interest", "workqueue")),
    Option(b"DISCARD", "discard", "When full", "old: the oldest entries give way. new: new ones are refused.",
           choices=("old", "new")),
    Option(b"CHANNELS", "channels", "Captured channels", "What is published on channels that match is added to the "
           "stream. A line for each pattern.", unit="patterns", many=True, typed=True),
)  # fmt: skip

SHOWN = "shown-"
"""How the hidden fields begin that say what a form has shown."""


@dataclass(frozen=True, slots=True)
class PolicyForm:
    """What the form for a policy contains at first, by the names of its options, and in which notation.

    error: why the policy can't be read; then there is nothing else.
    """

    options: Sequence[Option]
    values: Mapping[str, str]
    notation: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one option. text: its new value as it was typed; empty if the option is removed."""

    option: Option
    text: str
    arguments: tuple[str | bytes | int, ...]


def told(options: Sequence[Option], facts: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], ...]:
    """Return facts that are not about the policy, and those that are."""
    names = {option.name for option in options}
    return [one for one in facts if one[0] not in names], [one for one in facts if one[0] in names]


# Reading.


async def has_policies(client: Client) -> bool:
    """Whether the server has policies (a Trimaran with `stream-extensions yes`), and tells this user."""
    return await has_command(client, b"XGROUP|CFGSET")


async def group_form(client: Client, key: bytes, group: bytes) -> PolicyForm | None:
    """Return the form for a group's policy; None if the server has none."""
    return await _form(client, GROUP, (b"XGROUP", b"CFGGET", key, group))


async def stream_form(client: Client, key: bytes) -> PolicyForm | None:
    """Return the form for a stream's policy; None if the server has none."""
    return await _form(client, STREAM, (b"XINFO", b"STREAM", key))


async def _form(client: Client, options: Sequence[Option], command: Command) -> PolicyForm | None:
    if not await has_policies(client):
        return None
    (reply,) = await ask(client, [command])
    if isinstance(reply, RedisError):
        return PolicyForm(options, {}, TEXT, str(reply))
    return offered(options, {name.decode("utf-8", "backslashreplace"): value for name, value in pairs(reply).items()})


def offered(options: Sequence[Option], policy: Mapping[str, Reply]) -> PolicyForm:
    """Return the form for a policy as the server tells it, with digits for all names if one of them is no text."""
    names = [one for option in options if option.typed for one in _values(option, policy)]
    plain = all((found := offer(one)) is not None and found.notation == TEXT and b"\n" not in one for one in names)
    shown: Callable[[bytes], str] = bytes.decode if plain else bytes.hex
    texts = {
        option.name: ("\n" if option.lines else " ").join(
            shown(one) if option.typed else one.decode() for one in _values(option, policy)
        )
        for option in options
    }
    return PolicyForm(options, texts, TEXT if plain else HEX)


def _values(option: Option, policy: Mapping[str, Reply]) -> list[bytes]:
    """Return the values of an option; none if it is not set."""
    value = policy.get(option.name)
    if value is None and option.choices:
        return [option.choices[0].encode()]
    found = value if isinstance(value, list) else [value]
    return [one if isinstance(one, bytes) else b"%d" % one for one in found if one]


# Changing.


def changes(options: Sequence[Option], typed: Mapping[str, str]) -> list[Change]:
    """Return the options whose values differ from those that the form has shown. Raises Unreadable."""
    found = []
    for option in options:
        text = typed.get(option.name, "").replace("\r\n", "\n").strip("\n" if option.typed else " \n\t")
        before = typed.get(f"{SHOWN}{option.name}", "").replace("\r\n", "\n")
        values = _entered(option, text, typed.get("notation", TEXT))
        if values != _entered(option, before, typed.get(f"{SHOWN}notation", TEXT)):
            found.append(Change(option, text, _arguments(option, values)))
    return found


def _entered(option: Option, text: str, notation: str) -> list[bytes]:
    parts = text.split("\n") if option.lines else text.split() if option.many else [text]
    return [entered(part, notation if option.typed else TEXT) for part in parts if part]


def _arguments(option: Option, values: list[bytes]) -> tuple[str | bytes | int, ...]:
    if option.many:
        return option.word, len(values), *values
    [value] = values or [b"" if option.typed else option.choices[0].encode() if option.choices else b"0"]
    return option.word, value


def group_command(key: bytes, group: bytes, changed: Sequence[Change]) -> Command:
    """Return the command that changes a group's policy."""
    return b"XGROUP", b"CFGSET", key, group, *(argument for one in changed for argument in one.arguments)


def stream_command(key: bytes, changed: Sequence[Change]) -> Command:
    """Return the command that changes a stream's policy."""
    return b"XCFGSET", key, *(argument for one in changed for argument in one.arguments)
