"""INFO's sections about each command: how often it was executed, and how long that took."""

from __future__ import annotations

from collections.abc import Iterator

from broker.broker import Broker
from broker.table.command import Command

Fields = Iterator[tuple[str, object]]


def commandstats(broker: Broker) -> Fields:
    """The section of that name: a field for each command that a client has sent."""
    for command in broker.commands:
        if command.calls or command.rejected or command.failed:
            yield f"cmdstat_{command.name.decode()}", _command_counts(command) + _slow_counts(broker, command)


def _slow_counts(broker: Broker, command: Command) -> str:
    slow = broker.slowlog.by_command.get(command.name)
    if slow is None:
        return ""
    return (
        f",slowlog_count={slow.count},slowlog_time_ms_sum={slow.seconds * 1000:.2f}"
        f",slowlog_time_ms_max={slow.longest * 1000:.2f}"
    )


def _command_counts(command: Command) -> str:
    microseconds = int(command.seconds * 1_000_000)
    each = microseconds / command.calls if command.calls else 0.0
    return (
        f"calls={command.calls},usec={microseconds},usec_per_call={each:.2f}"
        f",rejected_calls={command.rejected},failed_calls={command.failed}"
    )


def latencystats(broker: Broker) -> Fields:
    """The section of that name: percentiles, in microseconds, for each command that was executed."""
    if not broker.config.latency_tracking:
        return
    percentiles = [(_number(percent), percent) for percent in broker.config.latency_tracking_info_percentiles]
    for command in broker.commands:
        histogram = command.histogram
        if histogram is not None:
            times = (f"p{name}={histogram.percentile(percent) / 1000:.3f}" for name, percent in percentiles)
            yield f"latency_percentiles_usec_{command.name.decode()}", ",".join(times)


def _number(value: float) -> str:
    return f"{value:f}".rstrip("0").rstrip(".")
