"""The optional compiled parts; everything else is declared in pyproject.toml.

There are two kinds, listed by broker/native.py: twins in Cython, and modules that mypyc compiles from their own source.
Both are only faster, so an installation without Cython, mypy or a C compiler leaves them out and goes on.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import setuptools
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

ROOT = Path(__file__).parent
sys.path.insert(0, str(ROOT))

from broker.native import MODULES, TWINS  # noqa: E402  # only found from here on
from protocol.native import RECORD, checksum  # noqa: E402

GROUP = "protocol._compiled"
"""The library of all compiled modules: calls between them are plain C calls. What stands beside each source only points
into it."""

OPTIMISATION = "2"

INTERNAL = ["-fvisibility=hidden", "-fno-plt"] if os.name == "posix" else []
"""Without these, calls between the modules go through the dynamic linker's table, as if they might be replaced."""

PACKAGES = ("protocol", "broker")

NEEDED = 77
"""The first version of setuptools that takes a licence by its name alone (PEP 639); pyproject.toml says the same."""

PROGRESS = os.environ.get("TRIMARAN_PROGRESS", "")
"""A terminal or a file that is told what the build does; `make` sets it, since pip hides whatever a build prints."""


def say(text: str) -> None:
    if PROGRESS:
        with suppress(OSError), open(PROGRESS, "a") as file:
            file.write(f"make: {text}\n")


class Steps:
    """Says how many steps are done, about ten times."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0

    def done(self) -> None:
        before = self._done * 10 // self._total
        self._done += 1
        if self._done * 10 // self._total > before:
            say(f"{self._what}: {self._done} of {self._total}")


def twins() -> list[Extension]:
    try:
        from Cython.Build import cythonize
    except ImportError:
        return []
    paths = [name.replace(".", "/") + ".pyx" for name in TWINS]
    modules: list[Extension] = cythonize(
        [Extension(name, [path], extra_compile_args=["-O2"]) for name, path in zip(TWINS, paths, strict=True)],
        language_level=3,
    )
    for module in modules:
        module.optional = True  # set here, since cythonize() drops it: a failed compilation is only a warning
    return modules


class Build(build_ext):
    """Builds the twins, then what mypyc compiles."""

    def run(self) -> None:
        self._twins = Steps("compiling modules in Cython", max(1, len(self.extensions)))
        super().run()
        if not self.extensions:  # and so no compiler was set up
            self.warn("nothing is compiled, which is several times slower: Cython is not installed")
            return
        sources = {name: ROOT / (name.replace(".", "/") + ".py") for name in MODULES}
        record = self._record(sources)
        target = Path(self.get_ext_fullpath(GROUP)).with_name(RECORD.name)
        if not self.force and target.exists() and target.read_text() == record:
            return
        target.unlink(missing_ok=True)  # until all is there, nothing is vouched for
        self._remove_compiled()
        try:
            self._compile(list(sources.values()))
        except (BaseError, CCompilerError, Unavailable) as problem:
            self._remove_compiled()
            self.warn(f"modules are left uncompiled, which is several times slower: {problem}")
            return
        target.write_text(record)

    def build_extension(self, extension: Extension) -> None:
        super().build_extension(extension)
        if extension.name in TWINS:
            self._twins.done()

    def _record(self, sources: dict[str, Path]) -> str:
        lines = [f"{checksum(path)} {name}" for name, path in sources.items()]
        # What mypyc makes of a module depends on the types of those that it imports, too.
        everything = [__file__, *sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
        lines.insert(0, f"# of {' '.join(checksum(Path(path)) for path in everything)}")
        return "\n".join(lines) + "\n"

    def _remove_compiled(self) -> None:
        """Remove what earlier builds compiled, also of modules no longer listed: it would shadow their sources."""
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        library = Path(self.get_ext_fullpath(f"{GROUP}__mypyc"))
        top = library.parent.parent
        for package in PACKAGES:
            for path in (top / package).rglob(f"*{suffix}"):
                name = path.relative_to(top).as_posix().removesuffix(suffix)
                if (ROOT / f"{name}.py").exists() or path == library:
                    path.unlink()

    def _compile(self, paths: list[Path]) -> None:
        try:
            from mypyc.build import mypycify
        except ImportError as problem:
            raise Unavailable(f"mypyc is not installed ({problem})") from problem
        # Each interpreter has its own: several may build in one checkout.
        work = Path("build") / f"mypyc.{sysconfig.get_config_var('SOABI')}"
        # Where pip builds, the broker's dependencies are not installed. Errors that this causes in modules that are not
        # compiled don't concern this build.
        options = ["--config-file=", "--ignore-missing-imports", "--follow-imports=silent"]
        options.append(f"--cache-dir={work / 'mypy'}")
        say(f"translating {len(paths)} modules from Python to C")
        try:
            library, *pointers = mypycify(
                [*options, *(str(path.relative_to(ROOT)) for path in paths)],
                opt_level=OPTIMISATION,
                debug_level="0",
                multi_file=True,
                target_dir=str(work),
                group_name=GROUP,
            )
        except SystemExit as problem:
            raise Unavailable(f"mypyc refuses: {problem}") from problem
        library.extra_compile_args += INTERNAL
        # The headers stand where the library will; what includes them does not look there.
        library.include_dirs.append(str((work / GROUP.replace(".", "/")).parent))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            compiled = Steps("compiling C files", len(library.sources))
            for built in pool.map(lambda source: self._object(library, source, work), library.sources):
                library.extra_objects.append(built)
                compiled.done()
            say("linking")
            library.sources, library.depends = [], library.extra_objects
            for extension in (library, *pointers):
                extension._needs_stub = False
            list(pool.map(self.build_extension, (library, *pointers)))

    def _object(self, library: Extension, source: str, work: Path) -> str:
        """Compile one source of the library, if it, a header or this file with its options has changed."""
        compiler: Any = self.compiler
        [path] = compiler.object_filenames([source], output_dir=self.build_temp)
        newest = max(os.path.getmtime(name) for name in (source, __file__, *work.rglob("*.h")))
        if self.force or not os.path.exists(path) or os.path.getmtime(path) <= newest:
            compiler.compile(
                [source],
                output_dir=self.build_temp,
                include_dirs=library.include_dirs,
                extra_postargs=library.extra_compile_args,
            )
        return str(path)


class Unavailable(Exception):
    """What mypyc needs is not there."""


def check_setuptools(version: str) -> None:
    """Exits where setuptools can't read pyproject.toml: pip sees to that itself, but not who runs this file."""
    if int(version.partition(".")[0]) < NEEDED:
        sys.exit(
            f"setuptools {version} is too old to build Trimaran: {NEEDED} or newer is needed.\n"
            f"    {sys.executable} -m pip install 'setuptools>={NEEDED}' 'Cython>=3' 'mypy>=2.4,<3'"
        )


check_setuptools(setuptools.__version__)
setup(ext_modules=twins(), cmdclass={"build_ext": Build})
