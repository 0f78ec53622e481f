"""What the log says of a start."""

from pathlib import Path

import pytest

from broker import open_broker, startup_log
from broker.config import Config
from broker.config.syntaxes import SavePoint
from broker.process.log import Log


def logged(path: Path, config: Config, addresses: list[str]) -> str:
    log = Log(path=str(path / "log"))
    startup_log.log_start(config, log)
    startup_log.log_ready(config, log, addresses)
    return (path / "log").read_text()


def test_what_it_was_configured_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup_log, "refuses_overcommit", lambda: True)
    config = Config()
    config.appendonly, config.save = True, (SavePoint(60, 1),)
    config.maxmemory, config.unixsocket = 1000, "/run/u"
    text = logged(tmp_path, config, ["127.0.0.1:6379", "[::1]:6379"])
    assert 'persistence="appendonly with appendfsync everysec, save 60 1" maxmemory=1000 policy=noeviction' in text
    assert "protected_mode=yes password=no" in text
    assert '* Ready to accept connections tcp port=6379 addresses="127.0.0.1:6379 [::1]:6379"' in text
    assert "* Ready to accept connections unix path=/run/u" in text
    assert "WARNING Memory overcommit must be enabled!" in text


def test_what_needs_no_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup_log, "refuses_overcommit", lambda: True)
    config = Config()
    config.save = ()
    text = logged(tmp_path, config, ["0.0.0.0:6379"])
    assert "persistence=none maxmemory=unlimited" in text
    assert "overcommit" not in text and "anyone" not in text


@pytest.mark.parametrize(
    ("password", "addresses", "warned"),
    [
        (b"", ["0.0.0.0:6379"], True),
        (b"", ["127.0.0.1:6379", "[::]:6379"], True),
        (b"", ["127.0.0.1:6379", "[::1]:6379"], False),
        (b"secret", ["0.0.0.0:6379"], False),
    ],
)
def test_an_open_door_is_named(password: bytes, addresses: list[str], warned: bool, tmp_path: Path) -> None:
    config = Config()
    config.protected_mode, config.requirepass = False, password
    text = logged(tmp_path, config, addresses)
    assert ("anyone who can reach these addresses" in text) is warned
    assert "secret" not in text


async def test_directives_without_effect_are_named_for_programs_too(tmp_path: Path) -> None:
    log = Log(path=str(tmp_path / "log"))
    async with open_broker({"io-threads": "4", "hz": "50", "timeout": "9"}, log=log):
        assert 'these directives have no effect here names="hz io-threads"' in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("wanted", "supervisor", "warning"),
    [
        ("systemd", "", "systemd supervision requested, but NOTIFY_SOCKET not found"),
        ("upstart", "", "upstart supervision requested, but UPSTART_JOB not found"),
        ("systemd", "systemd", ""),
        ("auto", "", ""),
        ("no", "", ""),
    ],
)
def test_a_supervisor_that_is_not_there(wanted: str, supervisor: str, warning: str, tmp_path: Path) -> None:
    config = Config()
    config.supervised = wanted
    startup_log.log_supervision(config, supervisor, Log(path=str(tmp_path / "log")))
    assert warning in (text := (tmp_path / "log").read_text())
    assert bool(text) is bool(warning)
