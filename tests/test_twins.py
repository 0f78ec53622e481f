"""Each compiled twin was built and is in use, where there is a compiler."""

import importlib
import os
import shutil
import sysconfig
from pathlib import Path

import pytest

from protocol import native

ROOT = Path(__file__).resolve().parents[1]
TWINS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("protocol", "broker")
    for path in (ROOT / folder).rglob("*.pyx")
)
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]


@pytest.mark.skipif(os.environ.get("TRIMARAN_PURE") == "1", reason="compiled twins are kept out")
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason="there is no compiler")
@pytest.mark.parametrize("twin", TWINS)
def test_a_twin_was_built(twin: str) -> None:
    importlib.import_module("broker.server")
    assert native.IN_USE[twin], f"{twin} was not built"


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
