"""The prompt of `trimaran cli`: completion, the syntax of what is being typed, and a history without secrets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory

from consumers.commands.command_docs import CommandDoc

__all__ = ["CommandCompleter", "is_secret", "reader", "syntax_of"]


def reader(docs: Mapping[str, CommandDoc]) -> Callable[[], str | None]:
    """Return a function that reads a line, None at the end. It blocks, and may run in a thread."""
    session: PromptSession[str] = PromptSession(
        "trimaran> ",
        completer=CommandCompleter(docs),
        complete_while_typing=False,
        history=_history(),
        auto_suggest=AutoSuggestFromHistory(),
        bottom_toolbar=lambda: syntax_of(docs, session.default_buffer.text),
    )

    def read() -> str | None:
        while True:
            try:
                return session.prompt(handle_sigint=False)
            except KeyboardInterrupt:
                continue  # Ctrl-C empties the line
            except EOFError:
                return None

    return read


def is_secret(line: str) -> bool:
    """Whether a line has, or may have, a password, and is not to be kept."""
    words = line.upper().split()
    first = words[:1]
    return (
        first in (["AUTH"], ["HELLO"], ["MIGRATE"])
        or words[:2] == ["ACL", "SETUSER"]
        or (words[:2] == ["CONFIG", "SET"] and any(word.endswith(("PASS", "AUTH")) for word in words))
    )


class _WithoutSecrets(FileHistory):
    def append_string(self, string: str) -> None:
        if not is_secret(string):
            super().append_string(string)


def _history() -> History:
    """In a file that only its user can read, like a shell's; in memory where there can't be one."""
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "trimaran"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "cli_history"
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()
    return _WithoutSecrets(str(path))


class CommandCompleter(Completer):
    """Completes the names of commands and subcommands, and the words of a command's syntax that are not values."""

    def __init__(self, docs: Mapping[str, CommandDoc]) -> None:
        self._docs = docs

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        typed = "" if text.endswith(" ") else text.rpartition(" ")[2]
        before = text[: len(text) - len(typed)].split()
        for word in sorted(self._candidates(before)):
            if word.startswith(typed.upper()):
                yield Completion(word, -len(typed), display_meta=self._meta(before, word))

    def _candidates(self, before: list[str]) -> Iterable[str]:
        if not before:
            return self._docs
        doc = self._docs.get(before[0].upper())
        if doc is None:
            return ()
        if doc.subcommands:
            if len(before) == 1:
                return [one.name.rpartition(" ")[2] for one in doc.subcommands]
            doc = next((one for one in doc.subcommands if one.name == " ".join(before[:2]).upper()), doc)
        words = doc.syntax.replace("[", " ").replace("]", " ").replace("<", " ").replace(">", " ").split()
        return {word for word in words if word.isupper() and word.isalnum()} - {word.upper() for word in before}

    def _meta(self, before: list[str], word: str) -> str:
        if not before:
            return self._docs[word].summary
        doc = self._docs[before[0].upper()]
        return next((one.summary for one in doc.subcommands if one.name == f"{doc.name} {word}"), "")


def syntax_of(docs: Mapping[str, CommandDoc], line: str) -> str:
    """Return the syntax of the command that a line begins with, the empty string while it is not known."""
    words = line.upper().split()
    doc = docs.get(words[0]) if words else None
    if doc is None:
        return ""
    doc = next((one for one in doc.subcommands if words[1:2] and one.name == f"{doc.name} {words[1]}"), doc)
    if doc.subcommands:
        return f"{doc.name} " + " | ".join(one.name.rpartition(" ")[2] for one in doc.subcommands)
    return f"{doc.name} {doc.syntax}".rstrip()
