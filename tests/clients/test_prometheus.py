"""Prometheus: a real one scrapes the console; the rules and the dashboard of docs/deploy name what there is."""

import json
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import redis

from consumers.console.metrics.catalogue import CATALOGUE
from consumers.console.metrics.prometheus import prometheus_name
from tests.clients.processes import logs_of, until, workers
from tests.oracle.servers import free_port

DEPLOY = Path(__file__).parents[2] / "docs/deploy/prometheus"
NAMES = {prometheus_name(metric) for metric in CATALOGUE}

CONFIGURATION = """
global: {{scrape_interval: 200ms}}
rule_files: [{rules}]
scrape_configs:
  - job_name: trimaran
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def needs(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"no {program} here")
    return found


@pytest.mark.parametrize("file", ["rules.yml", "tests.yml", "grafana.json"])
def test_what_is_named_exists(file: str) -> None:
    named = set(re.findall(r"\btrimaran_\w+", (DEPLOY / file).read_text()))
    assert named and named <= NAMES


def test_each_panel_has_a_place_of_its_own() -> None:
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken)) and max(x for x, _ in taken) == 23


def test_promtool_accepts_the_rules() -> None:
    promtool = needs("promtool")
    for command in (["check", "rules", "rules.yml"], ["test", "rules", "tests.yml"]):
        done = subprocess.run([promtool, *command], cwd=DEPLOY, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_real_one_scrapes_the_console(url: str, port: int, tmp_path: Path) -> None:
    prometheus, console, own = needs("prometheus"), free_port(), free_port()
    with redis.Redis(port=port) as client:
        client.xadd("orders", {"total": "12"})
        client.xgroup_create("orders", "billing", "0")
        client.xreadgroup("billing", "a", {"orders": ">"})
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(rules=DEPLOY / "rules.yml", port=console))
    commands = {
        "console": [sys.executable, "-m", "broker", "ui", "--url", url, "--port", str(console)],
        "prometheus": [
            prometheus, f"--config.file={configuration}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{own}",
        ],
    }  # fmt: skip

    def value(query: str) -> str | None:
        address = f"http://127.0.0.1:{own}/api/v1/query?query={urllib.parse.quote(query)}"
        try:
            with urllib.request.urlopen(address) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            return None
        return found[0]["value"][1] if found else None

    with workers(commands, tmp_path):
        until(lambda: value("trimaran_up") == "1", "the console is scraped", lambda: logs_of(tmp_path))
        pending = 'trimaran_group_pending{stream="orders",group="billing"}'
        until(lambda: value(pending) == "1", "its group is known", lambda: logs_of(tmp_path))
        assert value("trimaran_queue_waiting") is None
        assert float(value("trimaran_commands_total") or 0) > 0
        with urllib.request.urlopen(f"http://127.0.0.1:{own}/api/v1/rules") as answer:
            [group] = json.load(answer)["data"]["groups"]
        assert len(group["rules"]) == 11
