"""docs/deploy: each file is what the program that reads it accepts, and says what is so."""

import re
import shlex
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import trio

import broker
from broker import cli
from broker.config import Config, load
from broker.config.directives import BY_NAME

DEPLOY = Path(__file__).parents[2] / "docs/deploy"
CONFIGURATION = (DEPLOY / "trimaran.conf").read_text().splitlines()


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} here")
    return found


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = (DEPLOY / "trimaran.service").read_text()
    (tmp_path / "trimaran.service").write_text(unit.replace("/usr/bin/trimaran", "/bin/true"))
    done = subprocess.run(
        [needs("systemd-analyze"), "verify", "--man=no", tmp_path / "trimaran.service"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_the_program_with_directives_that_exist() -> None:
    [line] = re.findall("^ExecStart=(.*)$", (DEPLOY / "trimaran.service").read_text(), re.M)
    program, command, file, *options = line.split()
    assert (program, command, file) == ("/usr/bin/trimaran", "serve", "/etc/trimaran/trimaran.conf")
    config = Config()
    load(config, [option.encode() for option in options])
    assert (config.supervised, config.daemonize) == ("systemd", False)


async def test_a_broker_runs_with_the_configuration(tmp_path: Path) -> None:
    config = Config()
    (tmp_path / "conf").write_text("\n".join(CONFIGURATION).replace("/var/lib/trimaran", str(tmp_path)))
    load(config, [bytes(tmp_path / "conf"), b"--port", b"0"])
    assert not config.without_effect()
    async with broker.open_broker(config=config) as server, await server.connect() as stream:
        await stream.send_all(b"XADD s DELAY 100000 * f v\r\n")
        with trio.fail_after(60):
            assert (await stream.receive_some()).startswith(b"$")
    assert (tmp_path / "appendonlydir").is_dir()


COMMENTED = [line[2:] for line in CONFIGURATION if re.match(r"# [a-z0-9-]+ \S", line)]


@pytest.mark.parametrize("line", [line for line in COMMENTED if line.split()[0] in BY_NAME])
def test_what_is_commented_out_could_be_used(line: str, tmp_path: Path) -> None:
    config = Config()
    if line.startswith("logfile"):
        line = f"logfile {tmp_path}/log"
    (tmp_path / "conf").write_text(line)
    load(config, [bytes(tmp_path / "conf")])
    assert not config.without_effect()


def test_the_container_starts_what_it_says(tmp_path: Path) -> None:
    text = (DEPLOY / "Containerfile").read_text()
    [command] = re.findall(r"^CMD (\[.*\])$", text, re.M)
    first, *options = shlex.split(command.strip("[]").replace(",", " ").replace('"* -::*"', "'* -::*'"))
    assert first == "serve"
    config = Config()
    load(config, [option.replace("/data", str(tmp_path)).encode() for option in options])
    assert config.bind == ("*", "-::*") and config.appendonly and config.stream_extensions
    assert not config.protected_mode and config.dir == str(tmp_path)
    assert 'trimaran", "health"' in text


def test_the_man_page_names_each_command() -> None:
    text = (DEPLOY / "trimaran.1").read_text()
    further = {entry.name for entry in metadata.entry_points(group=cli.FURTHER)}
    named = set(re.findall(r"^\.TP\n\.B ([a-z]+)$", text, re.M))
    assert named == (cli.COMMANDS.keys() | further) - {"complete"}


def test_the_man_page_has_no_mistakes() -> None:
    done = subprocess.run(
        [needs("man"), "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", DEPLOY / "trimaran.1"],
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
