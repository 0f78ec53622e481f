"""The cache of scripts, and shebang lines."""

from typing import Any

import pytest

from broker.process.stats import Stats
from broker.scripting.scripts import ALLOW_OOM, MAX_EVAL_SCRIPTS, NO_WRITES, Scripts, declares_no_writes, read_shebang
from protocol.errors import CommandError


class Compiler:
    """Stands for Lua: counts what it compiles."""

    def __init__(self) -> None:
        self.sources: list[bytes] = []

    def __call__(self, source: bytes) -> tuple[Any, bytes]:
        self.sources.append(source)
        return (None, b"bad") if source == b"bad" else (object(), b"")


def test_a_script_is_compiled_once() -> None:
    compiler = Compiler()
    scripts = Scripts(compiler, Stats())
    script = scripts.load(b"return 1")
    assert scripts.of_eval(b"return 1") is scripts.load(b"return 1") is script
    assert script.sha == b"e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
    assert scripts.used(script.sha) is scripts.used(script.sha.upper()) is script
    assert scripts.knows(script.sha) and not scripts.knows(b"nosuch")
    assert (len(scripts), compiler.sources) == (1, [b"return 1"])
    assert 8 < scripts.memory() < 1000


def test_what_does_not_compile_is_not_kept() -> None:
    scripts = Scripts(Compiler(), Stats())
    with pytest.raises(CommandError, match="Error compiling script"):
        scripts.of_eval(b"bad")
    assert len(scripts) == 0


def test_scripts_of_eval_are_dropped_the_least_lately_used_first() -> None:
    stats = Stats()
    scripts = Scripts(Compiler(), stats)
    loaded = scripts.load(b"loaded")
    first = scripts.of_eval(b"0")
    second = scripts.of_eval(b"1")
    for number in range(2, MAX_EVAL_SCRIPTS):
        scripts.of_eval(b"%d" % number)
    scripts.used(first.sha)
    scripts.of_eval(b"one more")
    assert not scripts.knows(second.sha)
    assert scripts.knows(first.sha) and scripts.knows(loaded.sha)
    assert stats.evicted_scripts == 1


def test_shebang_lines() -> None:
    assert read_shebang(b"return 1") == (None, b"return 1")
    assert declares_no_writes(b"#!lua flags=allow-oom,no-writes\nx")
    assert not any(map(declares_no_writes, (b"x", b"#!lua\nx", b"#!nonsense flags=no-writes\nx")))
    assert read_shebang(b"#!lua\nreturn 1") == (0, b"\nreturn 1")
    assert read_shebang(b"#!lua flags=no-writes,allow-oom\nx") == (NO_WRITES | ALLOW_OOM, b"\nx")
    for line in (b"#!lua", b"#!", b"#!python\n", b"#!lua flags=x\n", b"#!lua name=x\n", b"#!lua '\n"):
        with pytest.raises(CommandError):
            read_shebang(line)
