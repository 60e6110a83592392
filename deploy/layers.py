"""Lays out an image's layers while it is built: dependencies, code, and an interpreter if need be.

Runs inside the build stages of the Dockerfiles beside it, with nothing but the standard library::

    python layers.py dependencies --into /layer/opt/gw/lib webapp.txt operations.txt
    python layers.py code --source /build --into /layer/app pipeline egress webapp
    python layers.py interpreter --prefix /opt/conda --into /layer/opt/conda

Every file gets the same time stamp, and byte code is bound to its source by content, so that a
layer that is built again from the same input is the same layer: it is not shipped again.
"""

from __future__ import annotations

import argparse
import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

if __package__:
    from deploy.elf import trimmed
else:
    from elf import trimmed  # type: ignore[import-not-found,no-redef]  # as a script, in a build

#: The time stamp of every file in a layer: 1980-01-01, the oldest that a ZIP file can hold.
LAYER_TIME_S: Final = 315_532_800

#: What a wheel brings for building and testing against it, and nothing needs to run.
_NEEDLESS_FOLDERS: Final = frozenset({"tests", "test", "__pycache__", "include"})
_NEEDLESS_SUFFIXES: Final = frozenset(
    {".pyi", ".pyx", ".pxd", ".pxi", ".c", ".cc", ".cpp", ".h", ".hpp", ".a", ".la", ".pyc"}
)
#: Parts of an interpreter that no service uses.
_NEEDLESS_LIBRARY: Final = frozenset(
    {
        "test",
        "idlelib",
        "turtledemo",
        "tkinter",
        "lib2to3",
        "ensurepip",
        "pydoc_data",
        "site-packages",
    }
    | {"dist-packages", "__pycache__", "turtle.py", "config"}
)

_LDD_LINE: Final = re.compile(r"^\s*(\S+) => (/\S+)")


def is_needless(path: str) -> bool:
    """Whether a file of a wheel, by its path below site-packages, can be left out.

    >>> is_needless("redis/client.py"), is_needless("uvloop/loop.pyx"), is_needless("rq/tests/a.py")
    (False, True, True)
    """
    *folders, name = path.split("/")
    if folders and folders[0] == "bin":
        return True
    if (
        folders
        and folders[-1].endswith(".dist-info")
        and name in {"RECORD", "INSTALLER", "REQUESTED"}
    ):
        return True
    return bool(_NEEDLESS_FOLDERS & set(folders)) or os.path.splitext(name)[1] in _NEEDLESS_SUFFIXES


def lay_dependencies(requirements: Sequence[Path], into: Path) -> None:
    """Install pinned wheels into the folder *into*, without what only builders and testers need."""
    into.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--no-cache-dir",
        "--no-compile",
        "--no-deps",
    ]
    command += ["--require-hashes", "--only-binary=:all:", "--root-user-action=ignore", "--quiet"]
    command += ["--target", str(into)]
    for path in requirements:
        command += ["--requirement", str(path)]
    subprocess.run(command, check=True)  # noqa: S603  # pip, with arguments of our own
    slim(into)


def slim(into: Path) -> None:
    """Take out of a folder of wheels what only builders and testers need, and add byte code."""
    for path in list(_files(into)):
        if is_needless(path.relative_to(into).as_posix()):
            path.unlink()
        elif ".so" in path.suffixes:
            _trim(path)
    _remove_empty_folders(into)
    _compile(into)


def lay_code(packages: Sequence[str], source: Path, into: Path) -> None:
    """Copy our own *packages* from *source*; one that does not exist is an error.

    Without byte code, which would make an update of the code three times as large, and saves a
    service a fifth of a second when it starts.
    """
    for package in packages:
        if not (source / package / "__init__.py").is_file():
            raise SystemExit(f"there is no package {package} in {source}")
        shutil.copytree(
            source / package, into / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    _write_metadata(tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"], into)


def _write_metadata(project: Mapping[str, Any], into: Path) -> None:
    """Write what ``importlib.metadata`` tells of a distribution: its name and version."""
    folder = into / f"{project['name']}-{project['version']}.dist-info"
    folder.mkdir()
    text = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (folder / "METADATA").write_text(text, "utf-8")


def lay_interpreter(prefix: Path, into: Path) -> None:
    """Copy the interpreter at *prefix*, its standard library, and the libraries that these load.

    A Miniconda brings a package manager of several hundred megabytes along, which stays behind.
    """
    binary = (prefix / "bin" / "python3").resolve()
    library = prefix / "lib" / binary.name
    shutil.copytree(library, into / "lib" / binary.name, symlinks=True, ignore=_needless_library)
    (into / "bin").mkdir(parents=True)
    shutil.copy2(binary, into / "bin" / binary.name)
    for name in ("python3", "python"):
        (into / "bin" / name).symlink_to(binary.name)
    extensions = (into / "lib" / binary.name / "lib-dynload").glob("*.so")
    for name, found in _libraries_of([binary, *extensions]):
        if found.is_relative_to(prefix):
            shutil.copy2(found.resolve(), into / "lib" / name)
    for path in list(_files(into)):
        if ".so" in path.suffixes or path.parent.name == "bin":
            _trim(path)
    _compile(into / "lib" / binary.name)


def even_times(folder: Path) -> None:
    """Give everything in *folder*, and itself, the time stamp of all layers."""
    for path in [*folder.rglob("*"), folder]:
        os.utime(path, (LAYER_TIME_S, LAYER_TIME_S), follow_symlinks=False)


def _needless_library(folder: str, names: list[str]) -> Iterable[str]:
    return [name for name in names if name in _NEEDLESS_LIBRARY or name.startswith("config-")]


def _libraries_of(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    for path in paths:
        answer = subprocess.run(  # noqa: S603  # the loader's own listing of our interpreter
            ["/usr/bin/ldd", str(path)], capture_output=True, text=True, check=False
        )
        for line in answer.stdout.splitlines():
            if match := _LDD_LINE.match(line):
                yield match[1], Path(match[2])


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _trim(path: Path) -> None:
    data = path.read_bytes()
    lean = trimmed(data)
    if len(lean) < len(data):
        path.write_bytes(lean)


def _remove_empty_folders(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _compile(folder: Path) -> None:
    """Write byte code, bound to its source by content: the root of a container is read-only.

    Sources that are not meant for this version (templates, tests of old ones) stay as they are.
    """
    compileall.compile_dir(
        folder,
        quiet=2,
        maxlevels=20,
        stripdir=str(folder),
        prependdir=_installed_at(folder),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def _installed_at(folder: Path) -> str:
    """Tell where a layer's folder lies in the image, for tracebacks.

    >>> _installed_at(Path("/layer/opt/gw/lib"))
    '/opt/gw/lib'
    """
    return "/" + "/".join(folder.parts[2:])


def main(arguments: Sequence[str] | None = None) -> None:
    """Lay out one layer, as the command line says."""
    parser = argparse.ArgumentParser(description="Lay out one layer of an image.")
    parser.add_argument("layer", choices=("dependencies", "code", "interpreter"))
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--source", type=Path, default=Path("/build"))
    parser.add_argument("--prefix", type=Path, default=Path("/opt/conda"))
    parser.add_argument("names", nargs="*")
    given = parser.parse_intermixed_args(arguments)
    if given.layer == "dependencies":
        lay_dependencies([given.source / "requirements" / name for name in given.names], given.into)
    elif given.layer == "code":
        lay_code(given.names, given.source, given.into)
    else:
        lay_interpreter(given.prefix, given.into)
    # From below the layer's root: the folders on the way belong to the layer too.
    even_times(Path(*given.into.parts[:2]))


if __name__ == "__main__":
    main()
