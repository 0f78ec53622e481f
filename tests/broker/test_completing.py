"""Shell completion: what each word may be, and the scripts in the shells that this machine has."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from broker import cli
from broker.completing import SCRIPTS


def complete(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert cli.main(["complete", *words]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([""], {"serve", "check", "health", "work", "tail", "completion"}),
        (["se"], {"serve"}),
        (["serve", "--append"], {"--appendonly", "--appendfsync", "--appendfilename"}),
        (["serve", "--appendfsync", ""], {"always", "everysec", "no"}),
        (["serve", "--port", "1", "--appendonly", "y"], {"yes"}),
        (["serve", ""], set()),
        (["check", "--f"], {"--fix"}),
        (["health", "--"], {"--url", "--timeout"}),
        (["migrate", "--"], {"--from", "--to"}),
        (["due", "--e"], {"--every"}),
        (["jobs", "--st"], {"--state"}),
        (["jobs", ""], set()),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["nosuch", "--"], set()),
    ],
)
def test_what_the_last_word_may_be(words: list[str], expected: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    found = complete(words, capsys)
    assert found == sorted(found) and set(found) >= expected
    assert found or not expected
    assert all(one.startswith(words[-1]) for one in found)


def test_values_and_options_are_all_that_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert complete(["serve", "--appendfsync", ""], capsys) == ["always", "everysec", "no"]
    assert complete(["serve", ""], capsys) == complete(["jobs", ""], capsys) == []
    assert "complete" not in complete([""], capsys)


def test_every_command_has_options_that_its_help_names(capsys: pytest.CaptureFixture[str]) -> None:
    without = {"completion"}
    names = complete([""], capsys)
    assert {name for name in names if not complete([name, "--"], capsys)} == without


def test_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    for shell, script in SCRIPTS.items():
        assert cli.main(["completion", shell]) == 0
        assert capsys.readouterr().out == script
    assert cli.main(["completion"]) == cli.main(["completion", "tcsh"]) == 2
    refusal = "trimaran completion: name a shell: bash, zsh, fish; see trimaran completion --help\n"
    assert capsys.readouterr().err == 2 * refusal
    assert cli.main(["completion", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: trimaran completion bash|zsh|fish\n")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`trimaran` is on the path."""
    (tmp_path / "trimaran").write_text(f'#!/bin/sh\nexec {sys.executable} -m broker "$@"\n')
    (tmp_path / "trimaran").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_in_bash(command: None) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    typed = 'COMP_WORDS=(trimaran serve --appendfsync ""); COMP_CWORD=3; _trimaran; echo "${COMPREPLY[@]}"'
    done = subprocess.run([bash, "-c", SCRIPTS["bash"] + typed], capture_output=True, text=True, check=True)
    assert done.stdout == "always everysec no\n"


FOUND = {"serve --appendfsync ": ["always", "everysec", "no"], "check tri": ["trimaran"]}
"""What is typed, and what is offered: values, or files where there is nothing better."""


def test_in_fish(command: None, tmp_path: Path) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("no fish")
    for typed, expected in FOUND.items():
        done = subprocess.run(
            [fish, "--no-config", "-c", f"{SCRIPTS['fish']}complete -C 'trimaran {typed}'"],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.split() == expected


def test_in_zsh(command: None, tmp_path: Path) -> None:
    """Without its line editor, whose functions are replaced by what prints their arguments."""
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("no zsh")
    editor = "compdef() {}; compadd() { print -r -- ${@[2,-1]} }; _files() { print -r -- ${words[-1]}* };"
    for typed, expected in FOUND.items():
        words = " ".join(f'"{word}"' for word in ["trimaran", *typed.split(" ")])
        done = subprocess.run(
            [zsh, "-f", "-c", f"{editor}{SCRIPTS['zsh']}words=({words}); CURRENT=$#words; _trimaran"],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.split() == expected
