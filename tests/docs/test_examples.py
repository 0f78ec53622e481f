"""The programs under docs/examples run, and produce what they are meant to show."""

import ast
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.programs import ROOT, run, worker

EXAMPLES = ROOT / "docs" / "examples"


def test_pictures_become_thumbnails_and_others_are_rejected(port_url: str, tmp_path: Path) -> None:
    stripes = b"".join(bytes((10, 20, 30)) * 128 + bytes((200, 100, 0)) * 128 for _ in range(192))
    (tmp_path / "stripes.ppm").write_bytes(b"P6\n256 192\n255\n" + stripes)
    (tmp_path / "noise.ppm").write_bytes(b"P6 100 70 255 " + os.urandom(100 * 70 * 3))
    (tmp_path / "grey.ppm").write_bytes(b"P5 2 2 255\n1234")
    names = ("stripes.ppm", "grey.ppm", "noise.ppm")
    with worker("thumbnails:queue", port_url, EXAMPLES):
        printed = run(EXAMPLES / "thumbnails.py", port_url, [str(tmp_path / name) for name in names])
    assert printed == ["made stripes.64.ppm", "failed: Reject: grey.ppm is not a PPM picture", "made noise.64.ppm"]
    small = b"".join(bytes((10, 20, 30)) * 32 + bytes((200, 100, 0)) * 32 for _ in range(48))
    assert (tmp_path / "stripes.64.ppm").read_bytes() == b"P6 64 48 255\n" + small
    assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.elsewhere
def test_the_poisoned_order_dies_alone_and_is_redriven(port_url: str) -> None:
    printed = run(EXAMPLES / "order_pipeline.py", port_url)
    (dead,) = (line for line in printed if line.startswith("dead"))
    assert dead.startswith("dead in billing: 9.50, failed 3 times: ValueError")
    assert printed.index("redriven: 1") < printed.index("billing: ann pays 9.50")
    expected = ["billing: ann pays 12", "billing: ben pays 7", "billing: ann pays 9.50", "billing: eve pays 3"]
    for text in ("stock: reserved for", "mail: to"):
        expected += [f"{text} {customer}" for customer in ("ann", "ann", "ben", "eve")]
    assert Counter(printed) == Counter([*expected, dead, "redriven: 1"])
    assert printed.index("billing: ann pays 12") < printed.index("billing: ann pays 9.50")


def test_a_slow_service_loses_what_it_chose_to(port_url: str) -> None:
    printed = dict(line.split(": ", 1) for line in run(EXAMPLES / "live_prices.py", port_url))
    assert printed["archive"] == "600 prices, 0 dropped"
    latest, replaced = printed["chart"].rsplit(", ", 1)
    assert ast.literal_eval(latest) == {f"prices.{share}": "199" for share in ("ABC", "DEF", "XYZ")}
    assert int(replaced.split()[0]) > 300
    seen, dropped = (int(part.split()[0]) for part in printed["alarm"].split(", "))
    assert seen + dropped == 600 and dropped > 300


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_has_a_test(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 70
    assert f'"{path.name}"' in Path(__file__).read_text()
