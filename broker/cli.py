"""The command line: `trimaran serve [redis.conf] [--directive value ...]`, `trimaran check FILE|FOLDER` and others.

The arguments of `serve` are redis-server's, so changing one word makes a script or container that starts redis-server
start this broker instead. If called by the name redis-server (through a link), not even that is needed.

Further commands are entry points of the group `trimaran.commands`, so that the broker need not know about the client
side, and other packages can add commands. Each is a function that takes its arguments and returns the exit status.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata

from broker.config import Config, ConfigFileError, load
from broker.native import build
from broker.process.log import Log
from broker.process.suggesting import MISTAKE, suggestion
from broker.process.supervision import supervisor_of
from broker.process.syslog import Syslog
from broker.version import REDIS_VERSION

SUMMARIES = {
    "The broker and its files": {
        "serve": "start a broker; takes redis-server's configuration files and arguments",
        "check": "report whether append-only files and RDB files are intact",
        "health": "report whether a broker answers, by the exit status",
        "completion": "print what makes a shell complete commands, options and directives",
    },
    "Several servers": {
        "replicas": "print a server's role and its replicas",
        "follow": "make a server the replica of another",
        "promote": "make a replica a master",
        "migrate": "move everything from one server to another while clients are served",
        "due": "add delayed entries that are due on a Redis or Valkey, which only keeps them",
    },
    "Looking at a server": {
        "top": "show how it is doing, and its queues",
        "info": "show what it says about itself",
        "cli": "send it commands, at a prompt with completion and help, or from a pipe",
        "ui": "serve the console, a web page to look at it and its queues",
    },
    "Messages": {
        "publish": "publish a message to a channel, or add an entry to a stream",
        "tail": "print what is published to a channel or added to a stream",
    },
    "Queues and jobs": {
        "dev": "run a broker in memory, a worker that follows the source, and the console",
        "work": "run the jobs of queues that Python modules declare",
        "queues": "show streams, their groups and how far behind they are, and job queues",
        "jobs": "show the jobs of a queue",
        "workers": "show the workers of a queue",
        "pause": "have a queue's workers take no more jobs",
        "resume": "have them take jobs again",
        "purge": "remove the jobs that are in one state",
        "redrive": "return dead letters and dead jobs to where they came from",
    },
}
"""The commands of this project, as `trimaran --help` lists them; the man page has the same parts and order."""

USAGE = """\
usage: trimaran COMMAND ...
       trimaran COMMAND --help
       trimaran --version
"""

SERVE_USAGE = """\
usage: trimaran serve [redis.conf] [--directive value ...]

Start a broker, and serve clients until SIGTERM or SIGINT. The arguments are redis-server's: a configuration file, `-`
to read one from standard input, and any directive as an option, which overrides the file. Without a file, only
this machine is listened to, unless --bind, --protected-mode, --requirepass, --user or --aclfile is given.

  trimaran serve                                   port 6379; data is saved to dump.rdb in the current folder
  trimaran serve --port 7777 --appendonly yes --dir /var/lib/trimaran
  trimaran serve --save ''                         nothing is kept
  trimaran serve /etc/redis/redis.conf --loglevel verbose
  echo 'maxmemory 128mb' | trimaran serve -

A directive that is unknown, or asks for what this broker does not have, stops the start; one without effect is named
in the log. docs/configuration.md says of each what it does here.
"""

LOOPBACK = ("127.0.0.1", "-::1")
OPENING = frozenset({"aclfile", "bind", "protected-mode", "requirepass", "user"})
"""Without any of these, and without a file, protected mode would refuse clients of other machines: nobody listens to
them, either."""

# The PID file of a daemonized redis-server if none is configured.
DAEMON_PID_FILE = "/var/run/redis.pid"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command named by the arguments (by default the process's) and return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None and os.path.basename(sys.argv[0]).startswith(("redis-server", "redis-sentinel")):
        words.insert(0, "serve")
        if os.path.basename(sys.argv[0]).startswith("redis-sentinel"):
            words.append("--sentinel")
    if words and words[0] == "serve" and words[1:2] not in (["--help"], ["-h"]):
        return serve(words[1:])
    try:
        try:
            return _run(words)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The output's reader has gone (`| head`). Nobody sees what is still in the buffer, which Python writes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _run(words: Sequence[str]) -> int:
    """Run any command, of `serve` only its help."""
    if not words:
        sys.stderr.write(usage())
        return MISTAKE
    if words[0] in ("--help", "-h", "help"):
        sys.stdout.write(usage())
        return 0
    if words[0] in ("--version", "-v", "version"):
        print(_version())
        return 0
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        # See broker/__main__.py. Commands other than the server end through the exception, and clean up.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        command = COMMANDS.get(words[0]) or _further(words[0])
    except ModuleNotFoundError as problem:
        needed = (problem.name or "").partition(".")[0]
        if needed in ("", "broker", "consumers", "protocol"):
            raise
        extra = EXTRAS.get(words[0], "consumers")
        sys.stderr.write(
            f"trimaran {words[0]}: {needed} is not installed; install it with pip install 'trimaran[{extra}]'\n"
        )
        return 1
    if command is None:
        meant = suggestion(words[0], ["serve", *COMMANDS, *_further_names()])
        sys.stderr.write(f"trimaran: unknown command {words[0]!r}{meant or '; see trimaran --help'}\n")
        return MISTAKE
    return command(words[1:])


def serve(words: Sequence[str]) -> int:
    """Start a broker and run it until it is shut down."""
    if words and words[0] in ("--help", "-h"):
        sys.stdout.write(SERVE_USAGE)
        return 0
    if words and words[0] in ("--version", "-v"):
        print(_server_version())
        return 0
    config = Config()
    try:
        given = load(config, [os.fsencode(word) for word in words], sys.stdin.buffer)
        if config.file is None and not given & OPENING:
            config.bind = LOOPBACK
        _enter(config.dir)
        syslog = Syslog(config.syslog_ident, config.syslog_facility) if config.syslog_enabled else None
        log = Log(config.loglevel, config.logfile, syslog=syslog)
    except ConfigFileError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"trimaran: {error}\n")
        return 1
    log.hide_user_data(config.hide_user_data_from_log)
    _follow(config, log)
    _ignore_stray_signals()
    if config.daemonize and not supervisor_of(config.supervised, os.environ):
        _daemonize()
    # Imported only now, so that configuration errors are reported without importing the whole broker.
    from broker.server import serve as serve_broker

    with _pid_file(config, log):
        return serve_broker(config, log)


def _follow(config: Config, log: Log) -> None:
    """Have the log's lines look as the configuration says, now and after each CONFIG SET."""

    def write(_: object = None) -> None:
        log.level = config.loglevel
        log.write_as(config.log_format, config.log_timestamp_format)

    write()
    for name in ("loglevel", "log-format", "log-timestamp-format"):
        config.on_change(name, write)


def check(words: Sequence[str]) -> int:
    """Check files; see broker.persistence.check."""
    from broker.commands import command_table
    from broker.persistence.check import run
    from broker.persistence.files import Disk

    def ask(question: str) -> bool:
        sys.stdout.write(question)
        sys.stdout.flush()
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    return run(words, Disk(), command_table, ask, print)


def health(words: Sequence[str]) -> int:
    """Report whether a broker answers; see broker.remote.health."""
    from broker.remote.health import main as check_health

    return check_health(words)


def promote(words: Sequence[str]) -> int:
    """Make a replica a master; see broker.remote.roles."""
    from broker.remote.roles import promote as run

    return run(words)


def follow(words: Sequence[str]) -> int:
    """Make a server the replica of another; see broker.remote.roles."""
    from broker.remote.roles import follow as run

    return run(words)


def replicas(words: Sequence[str]) -> int:
    """Print a server's role and its replicas; see broker.remote.roles."""
    from broker.remote.roles import replicas as run

    return run(words)


def migrate(words: Sequence[str]) -> int:
    """Move everything from one server to another; see broker.remote.moving."""
    from broker.remote.moving import main as run

    return run(words)


def due(words: Sequence[str]) -> int:
    """Add delayed entries that are due; see broker.remote.due."""
    from broker.remote.due import main as run

    return run(words)


def completion(words: Sequence[str]) -> int:
    """Print the completion script for a shell; see broker.completing."""
    from broker.completing import completion as run

    return run(words)


def complete(words: Sequence[str]) -> int:
    """Print what the word at the end may be, for that script."""
    from broker.completing import candidates

    names = [*COMMANDS.keys() - {"complete"}, *_further_names()]
    for one in candidates(words, names, lambda name: COMMANDS.get(name) or _further(name)):
        print(one)
    return 0


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise OSError(f"can't keep files in the folder {folder}: {error.strerror}") from None


Command = Callable[[Sequence[str]], int]
COMMANDS: dict[str, Command] = {
    "serve": serve,
    "check": check,
    "health": health,
    "promote": promote,
    "follow": follow,
    "replicas": replicas,
    "migrate": migrate,
    "due": due,
    "completion": completion,
    "complete": complete,
}
FURTHER = "trimaran.commands"
"""The entry point group of further commands."""

EXTRAS = {"dev": "ui,reload", "ui": "ui"}
"""What has to be installed for further commands that need more than `trimaran[consumers]`."""


def usage() -> str:
    """All commands with a line each. Those of other packages are only named: importing them takes half a second."""
    further = _further_names()
    parts = [USAGE]
    for title, summaries in SUMMARIES.items():
        lines = [f"  {name:11} {text}" for name, text in summaries.items() if name in COMMANDS or name in further]
        if lines:
            parts.append("\n".join((f"{title}:", *lines, "")))
    if others := sorted(set(further).difference(*SUMMARIES.values())):
        parts.append(f"Of other packages:\n  {', '.join(others)}\n")
    return "\n".join(parts)


def _further_names() -> list[str]:
    return sorted({entry.name for entry in metadata.entry_points(group=FURTHER)} - COMMANDS.keys())


def _further(word: str) -> Command | None:
    for entry in metadata.entry_points(group=FURTHER, name=word):
        command: Command = entry.load()
        return command
    return None


def _version() -> str:
    try:
        installed = metadata.version("trimaran")
    except metadata.PackageNotFoundError:
        installed = "(not installed)"
    return f"trimaran {installed} ({build()})"


def _server_version() -> str:
    """The version in redis-server's format, which tools parse."""
    return f"Redis server v={REDIS_VERSION} sha=00000000:0 malloc=libc bits=64 build=0 ({_version()})"


def _ignore_stray_signals() -> None:
    """Ignore signals that would end the process without a save, sent by a closing terminal or by mistake.

    redis-server ignores all of them except SIGUSR1. SIGHUP gets a meaning once the broker is running.
    """
    for number in (signal.SIGHUP, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)


def _daemonize() -> None:
    """Continue in the background, without a terminal. The original process ends immediately."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fork():
        os._exit(0)
    os.setsid()
    # The second child is not a session leader, so it can never acquire a terminal again.
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)


@contextlib.contextmanager
def _pid_file(config: Config, log: Log) -> Iterator[None]:
    """Keep the process ID in a file for the duration; like redis-server, continue without one if that fails."""
    path = config.pidfile or (DAEMON_PID_FILE if config.daemonize else "")
    if not path:
        yield
        return
    path = os.path.join(config.dir, path)
    try:
        with open(path, "w") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        log.warning("failed to write PID file", path=path, error=error.strerror)
    try:
        yield
    finally:
        log.notice("Removing the pid file", path=path)
        with contextlib.suppress(OSError):
            os.unlink(path)
