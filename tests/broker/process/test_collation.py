"""Orders of texts, in a process of its own with a locale made for the test."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from broker.process.collation import choose, collation_key

ROOT = Path(__file__).parents[3]
WORDS = ("z", "Ä", "a", "B", "ö", "O")

SORTING = """
import sys
from broker.process import collation
collation.choose(sys.argv[1])
words = [word.encode() for word in sys.argv[2:]]
print(b" ".join(sorted(words, key=collation.collation_key())).decode())
"""


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("locales")
    if sys.platform != "linux" or shutil.which("localedef") is None:
        pytest.skip("locales can't be made here")
    made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")], capture_output=True)
    if made.returncode:
        pytest.skip("the sources of locales are not installed")
    return folder


@pytest.mark.parametrize(
    ("name", "environment", "order"),
    [
        ("de_DE.UTF-8", "C", "a Ä B O ö z"),
        ("", "de_DE.UTF-8", "a Ä B O ö z"),
        ("C", "de_DE.UTF-8", "B O a z Ä ö"),
        ("", "C.UTF-8", "B O a z Ä ö"),
    ],
)
def test_orders(name: str, environment: str, order: str, locales: Path) -> None:
    environ = {**os.environ, "LOCPATH": str(locales), "LC_ALL": environment, "PYTHONUTF8": "1"}
    words = [sys.executable, "-c", SORTING, name, *WORDS]
    assert subprocess.check_output(words, env=environ, cwd=ROOT, encoding="utf-8").strip() == order


@pytest.mark.parametrize("name", ["xx", "de_DE.UTF-8\0", "nowhere.UTF-8"])
def test_what_is_no_locale_changes_nothing(name: str) -> None:
    with pytest.raises(ValueError, match=r"^Invalid locale name$"):
        choose(name)
    assert collation_key() is None
