"""What is compiled was built and is in use, where there is a compiler; the loader of it."""

import importlib
import re
import shutil
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path

import pytest

from broker.native import MODULES
from protocol import native

ROOT = Path(__file__).resolve().parents[1]
TWINS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("protocol", "broker")
    for path in (ROOT / folder).rglob("*.pyx")
)
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]


COMPILES = not native.pure() and shutil.which(COMPILER) is not None
where_it_is_built = pytest.mark.skipif(not COMPILES, reason="there is nothing compiled")


@where_it_is_built
def test_the_twins_were_built() -> None:
    importlib.import_module("broker.server")
    assert [twin for twin in TWINS if not native.IN_USE[twin]] == []


def test_each_twin_is_preferred_by_its_reference() -> None:
    importlib.import_module("broker.server")
    importlib.import_module("broker.commands")
    assert sorted(native.IN_USE) == TWINS


def test_what_is_missing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "IN_USE", {})
    monkeypatch.delenv("TRIMARAN_PURE", raising=False)
    namespace = {"sqrt": None, "pi": None}
    native.prefer(namespace, "math", "sqrt")
    native.prefer(namespace, "broker._nowhere", "pi")
    assert namespace["sqrt"] is not None and namespace["pi"] is None
    assert native.missing() == ["broker._nowhere"]


def test_all_twins_can_be_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "IN_USE", {})
    monkeypatch.setenv("TRIMARAN_PURE", "1")
    namespace = {"sqrt": None}
    native.prefer(namespace, "math", "sqrt")
    assert namespace == {"sqrt": None}
    assert native.missing() == ["math"]


@where_it_is_built
def test_the_modules_run_compiled() -> None:
    files = [str(importlib.import_module(name).__file__) for name in MODULES]
    assert [file for file in files if not file.endswith(tuple(EXTENSION_SUFFIXES))] == []


@pytest.mark.skipif(not native.pure(), reason="the modules may be compiled")
def test_in_pure_mode_the_modules_run_from_their_sources() -> None:
    files = [str(importlib.import_module(name).__file__) for name in MODULES]
    assert [file for file in files if not file.endswith(".py")] == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A source, an extension next to it, a twin, and a module that was never compiled."""
    for name in ("there.py", f"there{EXTENSION_SUFFIXES[0]}", f"_twin{EXTENSION_SUFFIXES[0]}", "plain.py"):
        (tmp_path / name).write_text("")
    return tmp_path


def _found(guard: native.Guard, name: str, folder: Path) -> str | None:
    spec = guard.find_spec(name, [str(folder)])
    return None if spec is None or spec.origin is None else Path(spec.origin).name


def test_a_compiled_module_is_found_while_its_source_is_the_one_it_was_made_of(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRIMARAN_PURE", raising=False)
    guard = native.Guard({"broker.there": native.checksum(folder / "there.py")})
    assert _found(guard, "broker.there", folder) == f"there{EXTENSION_SUFFIXES[0]}"
    assert _found(guard, "broker._twin", folder) == f"_twin{EXTENSION_SUFFIXES[0]}"
    assert _found(guard, "broker.plain", folder) == "plain.py"
    assert _found(guard, "broker.missing", folder) is None
    (folder / "there.py").write_text("edited = True")
    with pytest.raises(native.StaleBuildError, match=r"^broker.there was compiled from another version of .*there\.py"):
        _found(guard, "broker.there", folder)


def test_an_extension_that_no_build_accounts_for_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIMARAN_PURE", raising=False)
    with pytest.raises(native.StaleBuildError):
        _found(native.Guard({}), "broker.there", folder)


def test_in_pure_mode_the_source_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMARAN_PURE", "1")
    assert _found(native.Guard({}), "broker.there", folder) == "there.py"


def test_modules_of_others_are_none_of_its_business(folder: Path) -> None:
    assert _found(native.Guard({}), "brokers.there", folder) is None
    assert _found(native.Guard({}), "there", folder) is None


def test_it_comes_before_the_ordinary_finder() -> None:
    finders = [type(finder) for finder in sys.meta_path]
    assert finders.index(native.Guard) < sys.meta_path.index(PathFinder)


def test_what_was_compiled_is_read_from_what_the_build_wrote(tmp_path: Path) -> None:
    record = tmp_path / "record.txt"
    assert native.compiled_modules(record) == {}
    record.write_text("# of 0123\n89abcdef broker.there\n")
    assert native.compiled_modules(record) == {"broker.there": "89abcdef"}


def test_compiled_modules_promise_only_what_they_keep() -> None:
    sources = {name: (ROOT / (name.replace(".", "/") + ".py")).read_text() for name in MODULES}
    casts = [name for name, source in sources.items() if "type: ignore[assignment]" in source]
    assert casts == [], "compiled, that is a cast that nobody checks"
    other = re.compile(r"^if TYPE_CHECKING:(?:\n(?: .*)?)+\nelse:", re.MULTILINE)
    assert [name for name, source in sources.items() if other.search(source)] == [], "compiled, there is no else"
