"""The entry of the program: `trimaran`, and `python -m broker`.

It imports next to nothing, so that an interrupt which comes while the rest is imported ends the process at once and
silently, as it would a program in C, and not with the traceback of an import.
"""

import signal
import sys


def main() -> int:
    """Run the command that the process's arguments name; the result is the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from broker import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
