"""What a broker's process is to its system, seen from outside."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from broker.hosting import title_of
from tests.broker.test_server import read_until, wait_for

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("program", "title"),
    [("/x/broker/__main__.py", "trimaran"), ("", "trimaran"), ("/usr/bin/redis-server", "/usr/bin/redis-server")],
)
def test_titles(program: str, title: str) -> None:
    assert title_of(program) == title


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "broker", "serve", "--port", "0", "--unixsocket", str(folder / "u"),
         "--dir", str(folder), *words],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def call(process: subprocess.Popen[str], folder: Path, *words: str) -> str:
    """The reply to one command."""
    script = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1]);"
        "s.sendall(sys.argv[2].encode() + b'\\r\\n'); print(s.recv(1000).decode(), end='')"
    )
    return subprocess.check_output(
        [sys.executable, "-c", script, str(folder / "u"), " ".join(words)], text=True
    ).rstrip()


def of(process: subprocess.Popen[str], name: str) -> str:
    return Path(f"/proc/{process.pid}/{name}").read_text().rstrip("\0\n")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_directives_of_the_process(tmp_path: Path) -> None:
    pytest.importorskip("setproctitle")
    words = [
        "--requirepass",
        "",
        "--oom-score-adj",
        "yes",
        "--oom-score-adj-values",
        "7",
        "0",
        "9",
        "--server-cpulist",
        "0",
    ]
    before = int(Path("/proc/self/oom_score_adj").read_text())
    with start(tmp_path, *words) as process:
        try:
            read_until(process, "Ready to accept connections")
            assert of(process, "comm") == "trimaran"
            assert of(process, "cmdline") == f"trimaran {tmp_path}/u"
            assert int(of(process, "oom_score_adj")) == before + 7
            assert "Cpus_allowed_list:\t0\n" in of(process, "status")
            assert call(process, tmp_path, 'CONFIG SET proc-title-template "{title} {config-file}"') == "+OK"
            assert of(process, "cmdline") == "trimaran -"
            assert call(process, tmp_path, "CONFIG SET oom-score-adj no") == "+OK"
            assert int(of(process, "oom_score_adj")) == before
            assert call(process, tmp_path, "CONFIG SET watchdog-period 1") == "+OK"
            assert call(process, tmp_path, "CONFIG GET watchdog-period").endswith("200")
            assert call(process, tmp_path, "CONFIG SET watchdog-period 0") == "+OK"
        finally:
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Timeout" not in output


@pytest.mark.skipif(sys.platform != "linux", reason="a core is dumped elsewhere in another way")
def test_a_crash_is_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with start(tmp_path, "--logfile", str(log)) as process:
        wait_for(log, "Ready to accept connections")
        process.send_signal(signal.SIGSEGV)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in log.read_text()


CHILD = """
import sys
from broker.config import Config
from broker.hosting import Hosting
from broker.process.log import Log
from broker.process.oom_score import OomScore
from pathlib import Path
config, score = Config(), Path(sys.argv[2])
config.oom_score_adj, config.oom_score_adj_values = "absolute", (1, 2, 3)
config.port, config.bind, config.bgsave_cpulist = 6380, ("127.0.0.1",), "0"
log = Log()
Hosting(config, log, OomScore(log.warning, score)).child_begins(sys.argv[1])
status = Path("/proc/self/status").read_text()
print(Path("/proc/self/cmdline").read_text().strip("\\0"), score.read_text(), "Cpus_allowed_list:\\t0\\n" in status)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("kind", "title"), [("rdb", "redis-rdb-bgsave"), ("aof", "redis-aof-rewrite")])
def test_a_child(kind: str, title: str, tmp_path: Path) -> None:
    pytest.importorskip("setproctitle")
    score = tmp_path / "oom_score_adj"
    score.write_text("0")
    words = [sys.executable, "-c", CHILD, kind, str(score)]
    shown = subprocess.check_output(words, text=True, cwd=ROOT).split()
    assert shown[:3] == [title, "127.0.0.1:6380", "3"]
    assert kind == "aof" or shown[3] == "True"
