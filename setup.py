"""The optional compiled parts; everything else is declared in pyproject.toml.

Each compiled module is the twin of a pure one and only faster, so an installation without Cython or a C
compiler leaves them out and goes on.
"""

from setuptools import Extension, setup

COMPILED = [
    "protocol._doubles",
    "protocol._requests",
    "broker.values._positions",
    "broker.values._stream_entry",
    "broker.values._stream_id",
]


def extensions() -> list[Extension]:
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    modules: list[Extension] = cythonize(
        [Extension(name, [name.replace(".", "/") + ".pyx"], extra_compile_args=["-O2"]) for name in COMPILED],
        language_level=3,
    )
    for module in modules:
        module.optional = True  # set here, since cythonize() drops it: a failed compilation is only a warning
    return modules


setup(ext_modules=extensions())
