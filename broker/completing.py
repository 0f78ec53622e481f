"""Shell completion: `trimaran completion bash` prints what a shell's start-up file evaluates.

That script asks `trimaran complete WORD ...` at each Tab, the last word being the one that is typed, and gets one
candidate per line; with none, the shell offers files. What a command takes is read off its own `--help`, so no list of
options is kept here.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from broker.config.directives import TABLE
from broker.config.kinds import Bool, Choice
from broker.process.suggesting import mistake

SCRIPTS: Final = {
    "bash": """\
_trimaran() {
    local IFS=$'\\n'
    COMPREPLY=($(trimaran complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _trimaran trimaran
""",
    "zsh": """\
#compdef trimaran
_trimaran() {
    local -a found
    found=("${(@f)$(trimaran complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found" ]]; then compadd -- $found; else _files; fi
}
compdef _trimaran trimaran
""",
    "fish": """\
function __trimaran
    set -l found (trimaran complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c trimaran -f -a '(__trimaran)'
""",
}

USAGE: Final = """\
usage: trimaran completion bash|zsh|fish

Print the script with which a shell completes commands, options and directives.

  eval "$(trimaran completion bash)"      in ~/.bashrc
  eval "$(trimaran completion zsh)"       in ~/.zshrc, after compinit
  trimaran completion fish | source       in ~/.config/fish/config.fish
"""

Command = Callable[[Sequence[str]], int]


def completion(words: Sequence[str]) -> int:
    """Print the script for a shell."""
    if set(words) & {"--help", "-h"}:
        sys.stdout.write(USAGE)
        return 0
    if len(words) != 1 or words[0] not in SCRIPTS:
        return mistake("completion", f"name a shell: {', '.join(SCRIPTS)}")
    sys.stdout.write(SCRIPTS[words[0]])
    return 0


def candidates(words: Sequence[str], names: Iterable[str], find: Callable[[str], Command | None]) -> list[str]:
    """Return what the last of the words may be. `names` are all commands, and `find` returns one by its name."""
    *before, typed = words or [""]
    if not before:
        found: Iterable[str] = names
    elif before[0] == "serve":
        found = _for_serve(before[1:], typed)
    elif before == ["completion"] and not typed.startswith("-"):
        found = SCRIPTS
    elif typed.startswith("-"):
        found = _options(find(before[0]))
    else:
        return []
    return sorted(one for one in found if one.startswith(typed))


def _for_serve(before: Sequence[str], typed: str) -> Iterable[str]:
    """Directives, and the values of those that have only a few."""
    if typed.startswith("-"):
        return [f"--{name}" for name in TABLE]
    directive = TABLE.get(before[-1].removeprefix("--")) if before else None
    if isinstance(directive, Bool):
        return ("yes", "no")
    return directive.names if isinstance(directive, Choice) else ()


def _options(command: Command | None) -> Iterable[str]:
    if command is None:
        return ()
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text), contextlib.suppress(SystemExit):
        command(["--help"])
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text.getvalue()))
