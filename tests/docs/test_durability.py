"""How docs/durability.md says that a backup is made and restored."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.crash.process import Process
from tests.docs.programs import ROOT

SCRIPT = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="no redis-cli")
@pytest.mark.parametrize("appendonly", ["yes", "no"])
def test_a_backup_is_made_and_restored(appendonly: str, tmp_path: Path) -> None:
    make, restore = SCRIPT.findall((ROOT / "docs" / "durability.md").read_text())
    data, shelf = tmp_path / "data", tmp_path / "shelf"
    data.mkdir()
    shelf.mkdir()
    process = Process(data, appendonly=appendonly, save="")

    def run(script: str) -> None:
        script = script.replace("/var/lib/trimaran", str(data)).replace(" /backup/", f" {shelf}/")
        script = script.replace("redis-cli", f"redis-cli -p {process.port}")
        subprocess.run(["sh", "-e", "-c", script], check=True, timeout=60)

    process.start()
    try:
        client = process.connect()
        assert client.call("SET", "a", "1") == b"+OK\r\n"
        run(make)
        assert client.call("BACKUP", "LIST") == b"*0\r\n"
        assert client.call("SET", "a", "2") == b"+OK\r\n"
        client.close()
        process.terminate()
        *commands, start = restore.splitlines()
        assert start.startswith("trimaran serve") and start.endswith("--appendonly yes")
        (data / "appendonlydir").mkdir(exist_ok=True)
        run("\n".join(commands))
        process = Process(data, appendonly="yes", save="")
        process.start()
        client = process.connect()
        assert client.call("GET", "a") == b"$1\r\n1\r\n"
        client.close()
    finally:
        process.kill()
