"""docs/deploy: each file is what the program that reads it accepts, and says what is so."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import trio

import broker
from broker import cli
from broker.config import Config, load
from broker.config.directives import BY_NAME
from consumers.commands.work import _parser as work_parser

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "docs/deploy"
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


def read_as_configuration(options: list[str], folder: Path) -> Config:
    """What `serve` makes of these options, with a folder in place of /data."""
    config = Config()
    load(config, [option.replace("/data", str(folder)).encode() for option in options])
    return config


def test_the_container_starts_what_it_says(tmp_path: Path) -> None:
    text = (DEPLOY / "Containerfile").read_text()
    instructions = dict(re.findall(r"^(CMD|ENTRYPOINT|USER|VOLUME|WORKDIR|STOPSIGNAL) (.*)$", text, re.M))
    first, *options = json.loads(instructions["CMD"])
    assert first == "serve" and json.loads(instructions["ENTRYPOINT"]) == ["trimaran"]
    config = read_as_configuration(options, tmp_path)
    assert config.bind == ("*", "-::*") and config.appendonly and config.stream_extensions
    assert not config.protected_mode and config.dir == str(tmp_path)
    assert instructions["VOLUME"] == instructions["WORKDIR"] == "/data" and instructions["USER"] == "trimaran"
    [check] = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", text, re.M)
    assert json.loads(check) == ["trimaran", "health"] and config.port == 6379


def test_the_image_is_built_from_the_sources_alone() -> None:
    lines = (ROOT / ".dockerignore").read_text().split("\n")
    assert "*" in lines
    kept = {line[1:] for line in lines if line.startswith("!")}
    packaging = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, found = packaging["project"], packaging["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = {name.removesuffix("*") for name in found}
    assert kept == {"pyproject.toml", "setup.py", project["readme"], *project["license-files"], *packages}
    assert all((ROOT / name).exists() for name in kept)


@pytest.fixture
def services() -> dict[str, Any]:
    """The services of compose.yaml, with a password and a folder."""
    yaml = pytest.importorskip("yaml")
    text = (DEPLOY / "compose.yaml").read_text()
    for name, value in {"TRIMARAN_PASSWORD": "secret", "APP_FOLDER": "/srv/app"}.items():
        text, count = re.subn(r"\$\{" + name + r"(:\?set it)?\}", value, text)
        assert count
    assert "$" not in text
    composed: dict[str, Any] = yaml.safe_load(text)
    assert composed["volumes"].keys() == {"data"}
    return dict(composed["services"])


def test_the_composed_broker(services: dict[str, Any], tmp_path: Path) -> None:
    service = services["broker"]
    assert (ROOT / "docs/deploy" / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]).samefile(DEPLOY / "Containerfile")
    first, *options = service["command"]
    assert first == "serve"
    config = read_as_configuration(options, tmp_path)
    assert config.requirepass == b"secret" and config.appendonly and config.stream_extensions
    assert config.dir == str(tmp_path) and service["volumes"] == ["data:/data"]
    assert service["ports"] == [f"127.0.0.1:{config.port}:{config.port}"]
    assert service["environment"] == {"REDISCLI_AUTH": "secret"} and "healthcheck" not in service


def test_the_composed_worker(services: dict[str, Any]) -> None:
    service = services["worker"]
    assert service["image"] == services["broker"]["image"] and service["healthcheck"] == {"disable": True}
    assert service["depends_on"] == {"broker": {"condition": "service_healthy"}}
    assert service["environment"]["REDIS_URL"] == "redis://:secret@broker:6379"
    first, *options = service["command"]
    assert first == "work"
    parsed = work_parser().parse_args(options)
    assert (parsed.url, parsed.queue) == (None, ["app:queue"])
    assert int(service["stop_grace_period"].removesuffix("s")) > parsed.grace
    assert service["volumes"] == [f"/srv/app:{service['environment']['PYTHONPATH']}:ro"]


def test_the_man_page_has_the_commands_of_the_help_in_its_order() -> None:
    text = (DEPLOY / "trimaran.1").read_text().partition("\n.SH COMMANDS\n")[2].partition("\n.SH ")[0]
    parts = {
        title: re.findall(r"^\.TP\n\.B (\w+)$", part, re.M)
        for title, part in re.findall(r"^\.SS (.*)\n((?:(?!\.SS).*\n?)*)", text, re.M)
    }
    assert parts == {title: list(summaries) for title, summaries in cli.SUMMARIES.items()}


def test_the_man_page_has_no_mistakes() -> None:
    done = subprocess.run(
        [needs("man"), "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", DEPLOY / "trimaran.1"],
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
