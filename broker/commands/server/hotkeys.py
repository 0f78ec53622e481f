"""HOTKEYS: which keys cost most processor time and network bytes."""

from __future__ import annotations

from typing import Final

from broker.broker import Client
from broker.commands.help import declare_help
from broker.observation.hotkeys import Measurement, Options
from broker.table.command import ADMIN, NOSCRIPT, command, container
from protocol.errors import SYNTAX, CommandError
from protocol.numbers import parse_integer
from protocol.replies import OK, array, bulk, integers
from protocol.replies import integer as integer_reply

IN_PROGRESS: Final = b"ERR hotkey tracking session already in progress"
STOP_FIRST: Final = b"ERR hotkey tracking session in progress, stop tracking first"
NO_METRICS: Final = b"ERR METRICS parameter is required"
BAD_METRICS_COUNT: Final = b"ERR METRICS count must be > 0 and <= 2"
FEW_METRICS: Final = b"ERR METRICS count does not match number of metric types provided"
UNKNOWN_METRICS: Final = b"ERR METRICS no valid metrics passed. Supported: CPU|NET"
BAD_COUNT: Final = b"ERR COUNT must be between 1 and 64"
BAD_DURATION: Final = b"ERR DURATION must be between 1 and 1000000"
BAD_SAMPLE: Final = b"ERR SAMPLE ratio must be positive"
NO_SLOTS: Final = b"ERR SLOTS parameter cannot be used in non-cluster mode"

MAX_METRICS: Final = 2
MAX_COUNT: Final = 64
MAX_DURATION: Final = 1_000_000
MAX_SAMPLE: Final = (1 << 31) - 1
_DEFAULT_COUNT: Final = 10
_LAST_SLOT: Final = 16383

_FLAGS: Final = ADMIN | NOSCRIPT
_ONE_NODE: Final = ("request_policy:special",)

container("HOTKEYS", group="server", since="8.6.0", summary="A container for commands that measure which keys are hot.")

declare_help("HOTKEYS", group="server", since="8.6.1", usage={
    "START": "METRICS <count> [CPU] [NET] [COUNT <k>] [DURATION <seconds>] [SAMPLE <ratio>] [SLOTS <count> <slot> ...]",
})  # fmt: skip


@command("HOTKEYS|START", arity=-2, flags=_FLAGS, group="server", since="8.6.0",
         syntax="METRICS <count [CPU] [NET]> [COUNT k:integer] [DURATION seconds]"
                " [SAMPLE ratio:integer] [slots=<SLOTS count slot:integer ...>]",
         summary="Begins to measure which keys cost most: processor time, network bytes, or both.",
         complexity="O(1)", tips=_ONE_NODE)  # fmt: skip
def hotkeys_start(session: Client, args: list[bytes]) -> bytes:
    hotkeys = session.broker.hotkeys
    if hotkeys.active:
        raise CommandError(IN_PROGRESS)
    hotkeys.start(_options(args))
    return OK


def _options(args: list[bytes]) -> Options:
    if len(args) < 4 or args[2].upper() != b"METRICS":
        raise CommandError(NO_METRICS)
    end = 4 + _number(args[3], MAX_METRICS, BAD_METRICS_COUNT)
    if end > len(args):
        raise CommandError(FEW_METRICS)
    metrics = [word.upper() for word in args[4:end]]
    for name in (b"CPU", b"NET"):
        if metrics.count(name) > 1:
            raise CommandError(b"ERR METRICS %b defined more than once!" % name)
    if not {b"CPU", b"NET"}.intersection(metrics):
        raise CommandError(UNKNOWN_METRICS)
    count, sample, seconds = _DEFAULT_COUNT, 1, None
    for at in range(end, len(args), 2):
        option = args[at].upper()
        if at + 1 == len(args):
            raise CommandError(SYNTAX)
        value = args[at + 1]
        if option == b"COUNT":
            count = _number(value, MAX_COUNT, BAD_COUNT)
        elif option == b"DURATION":
            seconds = _number(value, MAX_DURATION, BAD_DURATION)
        elif option == b"SAMPLE":
            sample = _number(value, MAX_SAMPLE, BAD_SAMPLE)
        else:
            raise CommandError(NO_SLOTS if option == b"SLOTS" else SYNTAX)
    return Options(b"CPU" in metrics, b"NET" in metrics, count, sample, seconds)


def _number(text: bytes, most: int, refusal: bytes) -> int:
    number = parse_integer(text)
    if number is None or not 1 <= number <= most:
        raise CommandError(refusal)
    return number


@command("HOTKEYS|GET", arity=2, flags=_FLAGS, group="server", since="8.6.0",
         summary="Returns what the running measurement, or the last one, has found, the hottest keys first.",
         complexity="O(K) where K is the number of hotkeys returned.",
         tips=("nondeterministic_output", "request_policy:special", "response_policy:special"))  # fmt: skip
def hotkeys_get(session: Client, args: list[bytes]) -> bytes:
    measurement = session.broker.hotkeys.measurement
    if measurement is None:
        return session.resp.null
    measurement.update()
    return array([session.resp.map([(bulk(name), value) for name, value in _fields(measurement)])])


def _fields(found: Measurement) -> list[tuple[bytes, bytes]]:
    number = integer_reply
    fields = [
        (b"tracking-active", number(found.active)),
        (b"sample-ratio", number(found.options.sample)),
        (b"selected-slots", array([integers([0, _LAST_SLOT])])),
        (b"all-commands-all-slots-us", number(found.microseconds)),
        (b"net-bytes-all-commands-all-slots", number(found.bytes)),
        (b"collection-start-time-unix-ms", number(found.began)),
        (b"collection-duration-ms", number(found.milliseconds)),
    ]
    if found.by_time is not None:
        fields.append((b"total-cpu-time-user-ms", number(int(found.user * 1000))))
        fields.append((b"total-cpu-time-sys-ms", number(int(found.system * 1000))))
    if found.by_bytes is not None:
        fields.append((b"total-net-bytes", number(found.bytes_counted)))
    if found.by_time is not None:
        fields.append((b"by-cpu-time-us", _keys(found.by_time.keys())))
    if found.by_bytes is not None:
        fields.append((b"by-net-bytes", _keys(found.by_bytes.keys())))
    return fields


def _keys(keys: list[tuple[bytes, int]]) -> bytes:
    return array([part for key, total in keys for part in (bulk(key), integer_reply(total))])


@command("HOTKEYS|STOP", arity=2, flags=_FLAGS, group="server", since="8.6.0",
         summary="Ends the measurement; its results can still be asked for.",
         complexity="O(1)", tips=_ONE_NODE)  # fmt: skip
def hotkeys_stop(session: Client, args: list[bytes]) -> bytes:
    hotkeys = session.broker.hotkeys
    if not hotkeys.active:
        return session.resp.null
    hotkeys.stop()
    return OK


@command("HOTKEYS|RESET", arity=2, flags=_FLAGS, group="server", since="8.6.0",
         summary="Forgets the results of the last measurement.",
         complexity="O(1)", tips=_ONE_NODE)  # fmt: skip
def hotkeys_reset(session: Client, args: list[bytes]) -> bytes:
    hotkeys = session.broker.hotkeys
    if hotkeys.active:
        raise CommandError(STOP_FIRST)
    hotkeys.measurement = None
    return OK
