"""The entry point of the program: `trimaran`, and `python -m broker`.

It imports next to nothing, so that an interrupt during the remaining imports ends the process immediately and silently,
as it would end a C program, instead of with a traceback. The import of the package comes before, and sees to that, too;
during Python's own start an interrupt is Python's.
"""

import signal
import sys


def main() -> int:
    """Run the command named by the process's arguments and return the exit status."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from broker import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
