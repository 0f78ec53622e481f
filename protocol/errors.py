"""The error texts that several commands share, and the error that carries one to the client.

The texts are Redis 8.10's own, since clients match on them: the first word is the code that libraries switch
on, and several libraries compare whole sentences. A command raises `CommandError` with one of these constants, with a
text built by one of the functions at the end, or with a text that only that command has and that its module defines;
the executor turns it into an error reply.
"""

from typing import Final

from protocol.limits import COMMAND_NAME_SHOWN


class CommandError(Exception):
    """A command's refusal, which is sent to the client as an error reply.

    `text` is the whole error as bytes: the code, a space, the sentence. It may contain CR and LF: the encoder
    (`protocol.replies.error`) replaces them, so no client data can start a second reply.
    """

    def __init__(self, text: bytes) -> None:
        super().__init__(text)
        self.text = text


SYNTAX: Final = b"ERR syntax error"
WRONG_TYPE: Final = b"WRONGTYPE Operation against a key holding the wrong kind of value"
NOT_INTEGER: Final = b"ERR value is not an integer or out of range"
NOT_POSITIVE: Final = b"ERR value is out of range, must be positive"
OUT_OF_RANGE: Final = b"ERR value is out of range"
NOT_FLOAT: Final = b"ERR value is not a valid float"
MIN_MAX_NOT_FLOAT: Final = b"ERR min or max is not a float"
NAN_OR_INFINITY: Final = b"ERR increment would produce NaN or Infinity"
OVERFLOW: Final = b"ERR increment or decrement would overflow"
NO_SUCH_KEY: Final = b"ERR no such key"
INDEX_OUT_OF_RANGE: Final = b"ERR index out of range"
SAME_OBJECT: Final = b"ERR source and destination objects are the same"
STRING_TOO_LONG: Final = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"
TIMEOUT_NOT_FLOAT: Final = b"ERR timeout is not a float or out of range"
TIMEOUT_NOT_INTEGER: Final = b"ERR timeout is not an integer or out of range"
TIMEOUT_NEGATIVE: Final = b"ERR timeout is negative"
TIMEOUT_OUT_OF_RANGE: Final = b"ERR timeout is out of range"
DB_INDEX: Final = b"ERR DB index is out of range"
INVALID_DB_INDEX: Final = b"ERR invalid DB index"

NO_AUTH: Final = b"NOAUTH Authentication required."
WRONG_PASS: Final = b"WRONGPASS invalid username-password pair or user is disabled."
NO_PROTO: Final = b"NOPROTO unsupported protocol version"
EXEC_ABORT: Final = b"EXECABORT Transaction discarded because of previous errors."
NESTED_MULTI: Final = b"ERR MULTI calls can not be nested"
EXEC_WITHOUT_MULTI: Final = b"ERR EXEC without MULTI"
DISCARD_WITHOUT_MULTI: Final = b"ERR DISCARD without MULTI"
WATCH_INSIDE_MULTI: Final = b"ERR WATCH inside MULTI is not allowed"
SHUTDOWN_FAILED: Final = b"ERR Errors trying to SHUTDOWN. Check logs."
NO_REPLICAS: Final = b"NOREPLICAS Not enough good replicas to write."
NO_KEYSPACE: Final = b"ERR Replica can't interact with the keyspace"
NOT_IN_MULTI: Final = b"ERR Command not allowed inside a transaction"
LOADING: Final = b"LOADING Redis is loading the dataset in memory"
READ_ONLY_REPLICA: Final = b"READONLY You can't write against a read only replica."
MASTER_DOWN: Final = b"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
OUT_OF_MEMORY: Final = b"OOM command not allowed when used memory > 'maxmemory'."
_AOF_ERROR: Final = b"MISCONF Errors writing to the AOF file: "
BGSAVE_ERROR: Final = (
    b"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that"
    b" may modify the data set are disabled, because this instance is configured to report errors during writes if RDB"
    b" snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB"
    b" error."
)
MAX_CLIENTS: Final = b"ERR max number of clients reached"
UNBLOCKED: Final = b"UNBLOCKED client unblocked via CLIENT UNBLOCK"
UNBLOCKED_BY_ROLE: Final = (
    b"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
)
INTERNAL: Final = b"ERR internal error"
PROTECTED_MODE: Final = (
    b"DENIED This broker runs in protected mode: it is reachable from other machines and no password is set, so"
    b" it takes connections from the loopback interface only. Either set a password ('requirepass' in the"
    b" configuration, or CONFIG SET requirepass from this machine), or bind it to a loopback address, or turn"
    b" the check off ('CONFIG SET protected-mode no' from this machine)."
)


def exec_abort(refusal: bytes) -> bytes:
    """The text for an EXEC that was refused before it ran (and has therefore dropped its transaction)."""
    return b"EXECABORT Transaction discarded because of: " + refusal.removeprefix(b"ERR ")


def unknown_command(args: list[bytes]) -> bytes:
    """The text for a command that does not exist.

    The name is cut at COMMAND_NAME_SHOWN bytes, and so are the arguments together; each also ends at a NUL, as a string
    does in C.
    """
    text = b"ERR unknown command '%b'" % args[0].partition(b"\0")[0][:COMMAND_NAME_SHOWN]
    if len(args) < 2:
        return text
    shown = b""
    for argument in args[1:]:
        if len(shown) >= COMMAND_NAME_SHOWN:
            break
        shown += b"'%b' " % argument.partition(b"\0")[0][: COMMAND_NAME_SHOWN - len(shown)]
    return text + b", with args beginning with: " + shown


def unknown_subcommand(args: list[bytes]) -> bytes:
    """The text for a container command with a subcommand that does not exist."""
    return b"ERR unknown subcommand '%b'. Try %b HELP." % (
        args[1].partition(b"\0")[0][:COMMAND_NAME_SHOWN],
        args[0].upper(),
    )


def wrong_form(args: list[bytes]) -> bytes:
    """The text for a subcommand that exists, but not with these arguments."""
    return b"ERR unknown subcommand or wrong number of arguments for '%b'. Try %b HELP." % (
        args[1].partition(b"\0")[0][:COMMAND_NAME_SHOWN],
        args[0].upper(),
    )


def wrong_arity(name: bytes) -> bytes:
    """The text for a wrong number of arguments; `name` is in lower case, a subcommand's like `xinfo|stream`."""
    return b"ERR wrong number of arguments for '%b' command" % name


def invalid_expire(name: bytes) -> bytes:
    """The text for an expire time that is out of range, or zero where that is not allowed."""
    return b"ERR invalid expire time in '%b' command" % name


def subscribed_mode(name: bytes) -> bytes:
    """The text for a command that a RESP2 client may not send while it is subscribed."""
    return (
        b"ERR Can't execute '%b': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in"
        b" this context" % name
    )


def aof_error(reason: str) -> bytes:
    """The text for a write that is refused because the append-only file can't be written or synced."""
    return _AOF_ERROR + reason.encode("utf-8", "replace")


def script_refused(refusal: bytes) -> bytes:
    """The text for a script whose flags declare that it writes, while writes are refused with `refusal`."""
    blocked = b"Writable scripts are blocked. Use 'no-writes' flag for read only scripts."
    unable = b", but it's currently unable to persist to disk. "
    if refusal == BGSAVE_ERROR:
        return b"MISCONF Redis is configured to save RDB snapshots" + unable + blocked
    reason = b" AOF error: " + refusal.removeprefix(_AOF_ERROR)
    return b"MISCONF Redis is configured to persist data to AOF" + unable + blocked + reason
