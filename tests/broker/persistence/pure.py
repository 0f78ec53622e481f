"""A module without its compiled twin, for tests that compare the two."""

import importlib.util
import os
from types import ModuleType
from unittest import mock


def pure_module(name: str) -> ModuleType:
    """A second instance of a module, loaded as if its twin had not been built."""
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(os.environ, TRIMARAN_PURE="1"):
        spec.loader.exec_module(module)
    return module
