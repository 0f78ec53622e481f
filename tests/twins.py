"""Modules with a compiled twin (see protocol.native), for tests that run on both or compare the two.

`both` parametrises a test, `pure_module` returns only the reference. tests/test_twins.py fails if a twin should have
been built and was not, so here the compiled half may be skipped.
"""

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import pytest

from protocol.native import IN_USE, compiled_modules, pure

ROOT = Path(__file__).resolve().parents[1]


def pure_module(name: str) -> ModuleType:
    """Return a second instance of a module, loaded as if its twin had not been built."""
    # Not what the import system would find: that may be compiled.
    spec = importlib.util.spec_from_file_location(name, ROOT / (name.replace(".", "/") + ".py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # During execution, dataclasses and others look the module up by its name.
    with (
        mock.patch.dict(os.environ, TRIMARAN_PURE="1"),
        mock.patch.dict(sys.modules, {name: module}),
        mock.patch.dict(IN_USE),
    ):
        spec.loader.exec_module(module)
    return module


def both(name: str, twin: str, *, attribute: str = "", argument: str = "module") -> pytest.MarkDecorator:
    """Run a test with the module `name` twice: without its twin and with it.

    The test takes the module, or the named attribute of it, as `argument`.
    """
    pure: Any = pure_module(name)
    compiled: Any = importlib.import_module(name)
    if attribute:
        pure, compiled = getattr(pure, attribute), getattr(compiled, attribute)
    unbuilt = pytest.mark.skipif(not IN_USE[twin], reason=f"{twin} is not in use")
    return pytest.mark.parametrize(
        argument, [pytest.param(pure, id="pure"), pytest.param(compiled, id="compiled", marks=unbuilt)]
    )


def is_compiled(name: str) -> bool:
    """Return whether a module runs compiled from its own source: then no test can replace its parts."""
    return not pure() and name in compiled_modules()


def needs_source(name: str) -> pytest.MarkDecorator:
    """Skip a test that replaces or derives from parts of a module, where that is compiled; the pure run has it."""
    return pytest.mark.skipif(is_compiled(name), reason=f"{name} is compiled, and its parts can't be replaced")
