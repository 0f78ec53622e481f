"""`syslog-enabled`: the log's lines for the system's log daemon as well."""

import syslog
from typing import Final

_PRIORITIES: Final = (syslog.LOG_DEBUG, syslog.LOG_INFO, syslog.LOG_NOTICE, syslog.LOG_WARNING)
"""By the log's level: debug, verbose, notice, warning."""


class Syslog:
    """Sends lines to the daemon under a name (`syslog-ident`), for a facility (`local0`)."""

    def __init__(self, ident: str, facility: str) -> None:
        number: int = getattr(syslog, f"LOG_{facility.upper()}")
        syslog.openlog(ident, syslog.LOG_PID | syslog.LOG_NDELAY | syslog.LOG_NOWAIT, number)

    def write(self, level: int, line: str) -> None:
        """Send a line of one of the log's levels."""
        # Encoded text without a NUL is all that the C library takes.
        syslog.syslog(_PRIORITIES[level], line.encode("utf-8", "backslashreplace").decode("utf-8"))
