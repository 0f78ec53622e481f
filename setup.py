"""The optional compiled parts; everything else is declared in pyproject.toml.

Each compiled module is the twin of a pure one and merely faster, so an installation without Cython or a C
compiler leaves them out and continues.
"""

from pathlib import Path

from setuptools import Extension, setup

ROOT = Path(__file__).parent
COMPILED = sorted(
    path.relative_to(ROOT) for package in ("protocol", "broker") for path in (ROOT / package).rglob("*.pyx")
)


def extensions() -> list[Extension]:
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules: list[Extension] = cythonize(
        [Extension(".".join(path.with_suffix("").parts), [str(path)], extra_compile_args=["-O2"]) for path in COMPILED],
        language_level=3,
    )
    for module in modules:
        module.optional = True  # set here, since cythonize() drops it: a failed compilation is only a warning
    return modules


setup(ext_modules=extensions())
