"""EVAL's scripts, compiled once and stored by SHA-1, and the shebang line that declares a script's flags.

If there are too many scripts from EVAL, the least recently used ones are dropped. Scripts from SCRIPT LOAD stay, since
clients rely on EVALSHA for them.
"""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from broker.process.stats import Stats
from protocol.errors import CommandError
from protocol.inline import split_line

NO_WRITES: Final = 1
ALLOW_OOM: Final = 2
ALLOW_STALE: Final = 4
NO_CLUSTER: Final = 8
ALLOW_CROSS_SLOT_KEYS: Final = 16

FLAGS: Final = {
    b"no-writes": NO_WRITES,
    b"allow-oom": ALLOW_OOM,
    b"allow-stale": ALLOW_STALE,
    b"no-cluster": NO_CLUSTER,
    b"allow-cross-slot-keys": ALLOW_CROSS_SLOT_KEYS,
}
"""The flags that scripts and functions may declare, in the order in which Redis lists them."""

MAX_EVAL_SCRIPTS: Final = 500
"""Most scripts from EVAL that are kept, as in Redis."""

KEPT: Final = 400
"""Bytes that a script takes in the tables here besides its text."""

_ENGINE: Final = b"#!lua"


class Script:
    """A compiled script. `flags` is None without a shebang line; it then may do anything that its command may."""

    __slots__ = ("body", "flags", "function", "sha")

    def __init__(self, sha: bytes, body: bytes, function: Any, flags: int | None) -> None:
        self.sha = sha
        self.body = body
        self.function = function
        self.flags = flags


class Scripts:
    """A broker's scripts; `compile_script(source)` returns a Lua function, or None and the error's text.

    `stats` counts the dropped ones.
    """

    def __init__(self, compile_script: Callable[[bytes], tuple[Any, bytes]], stats: Stats) -> None:
        self._compile = compile_script
        self._stats = stats
        self._by_sha: dict[bytes, Script] = {}
        self._by_body: dict[bytes, Script] = {}
        self._of_eval: OrderedDict[bytes, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_sha)

    def find(self, sha: bytes) -> Script | None:
        """Returns the script with this hexadecimal SHA-1, in upper or lower case."""
        return self._by_sha.get(sha) or self._by_sha.get(sha.lower())

    def knows(self, sha: bytes) -> bool:
        """Whether there is a script with this SHA-1."""
        return self.find(sha) is not None

    def used(self, sha: bytes) -> Script | None:
        """`find`, for running it: the script is the last to be dropped now."""
        script = self._by_sha.get(sha) or self._by_sha.get(sha.lower())
        if script is not None and self._of_eval and script.sha in self._of_eval:
            self._of_eval.move_to_end(script.sha)
        return script

    def of_eval(self, body: bytes) -> Script:
        """Returns EVAL's script, compiled if it is new; raises CommandError if that fails."""
        script = self._by_body.get(body)
        if script is None:
            script = self._add(body)
            while len(self._of_eval) >= MAX_EVAL_SCRIPTS:
                self._drop(self._of_eval.popitem(last=False)[0])
                self._stats.evicted_scripts += 1
            self._of_eval[script.sha] = None
        elif script.sha in self._of_eval:
            self._of_eval.move_to_end(script.sha)
        return script

    def load(self, body: bytes) -> Script:
        """SCRIPT LOAD: the script stays until SCRIPT FLUSH, unless it came from EVAL first."""
        return self._by_body.get(body) or self._add(body)

    def memory(self) -> int:
        """Returns the bytes that the scripts' texts take, with the overhead of each."""
        return sum(map(sys.getsizeof, self._by_body)) + KEPT * len(self._by_sha)

    def _add(self, body: bytes) -> Script:
        flags, source = read_shebang(body)
        function, problem = self._compile(source)
        if function is None:
            raise CommandError(b"ERR Error compiling script (new function): " + problem)
        sha = hashlib.sha1(body, usedforsecurity=False).hexdigest().encode()
        script = Script(sha, body, function, flags)
        self._by_sha[sha] = self._by_body[body] = script
        return script

    def _drop(self, sha: bytes) -> None:
        del self._by_body[self._by_sha.pop(sha).body]


def declares_no_writes(body: bytes) -> bool:
    """Whether a script's shebang line declares that it does not write."""
    try:
        flags, _ = read_shebang(body)
    except CommandError:
        return False
    return flags is not None and bool(flags & NO_WRITES)


def read_shebang(body: bytes) -> tuple[int | None, bytes]:
    """Returns a script's declared flags, None without a shebang line, and its text from the end of that line on.

    Raises CommandError for an invalid line.
    """
    if not body.startswith(b"#!"):
        return None, body
    line, newline, rest = body.partition(b"\n")
    if not newline or b"\0" in line:
        raise CommandError(b"ERR Invalid script shebang")
    words = split_line(line)
    if not words:
        raise CommandError(b"ERR Invalid engine in script shebang")
    if words[0] != _ENGINE:
        raise CommandError(b"ERR Unexpected engine in script shebang: " + words[0])
    flags = 0
    for word in words[1:]:
        if not word.startswith(b"flags="):
            raise CommandError(b"ERR Unknown lua shebang option: " + word)
        for name in word[6:].split(b",") if len(word) > 6 else ():
            if name not in FLAGS:
                raise CommandError(b"ERR Unexpected flag in script shebang: " + name)
            flags |= FLAGS[name]
    return flags, newline + rest
