"""The process's title."""

import subprocess
import sys
from pathlib import Path

import pytest

from broker.process.title import VARIABLES, check_template, expand, listen_address


@pytest.mark.parametrize(
    ("template", "title"),
    [
        ("{title} {listen-addr} {server-mode}", "trimaran *:6379"),
        ("a{port}b", "a6379b"),
        ("}x{{title}}", "}x{title}}"),
        ("  x  ", "x"),
        ("", ""),
    ],
)
def test_templates(template: str, title: str) -> None:
    assert expand(template, {"title": "trimaran", "listen-addr": "*:6379", "port": "6379"}) == title


@pytest.mark.parametrize("template", ["{bad}", "{title", "{}", "", " ", "{Title}"])
def test_what_is_no_template(template: str) -> None:
    with pytest.raises(ValueError, match=r"^template format is invalid or contains unknown variables$"):
        check_template(template)


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_is_known(name: str) -> None:
    check_template(f"{{{name}}}")


@pytest.mark.parametrize(
    ("bind", "port", "tls_port", "unixsocket", "shown"),
    [
        (("127.0.0.1", "::1"), 6379, 0, "/u", "127.0.0.1:6379"),
        (("127.0.0.1",), 0, 6380, "", "127.0.0.1:6380"),
        ((), 6379, 0, "", "*:6379"),
        (("*",), 0, 0, "/u", "/u"),
    ],
)
def test_where_clients_connect(bind: tuple[str, ...], port: int, tls_port: int, unixsocket: str, shown: str) -> None:
    assert listen_address(bind, port, tls_port, unixsocket) == shown


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_system_shows_it() -> None:
    pytest.importorskip("setproctitle")
    script = (
        "from broker.process.title import set_title; set_title('/usr/bin/trimaran *:1');"
        "print(open('/proc/self/comm').read(), end=''); print(open('/proc/self/cmdline').read().rstrip('\\0'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--requirepass", "secret"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.stdout.splitlines() == ["trimaran", "/usr/bin/trimaran *:1"]
