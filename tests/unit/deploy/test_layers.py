"""What of a wheel goes into an image, and that a layer is the same each time it is laid."""

from __future__ import annotations

from importlib.metadata import distributions
from pathlib import Path

import pytest

from deploy.layers import LAYER_TIME_S, even_times, is_needless, lay_code, lay_interpreter, slim


@pytest.mark.parametrize(
    "path",
    [
        "bin/uvicorn",
        "rq/__pycache__/job.cpython-311.pyc",
        "numpy/_core/tests/test_umath.py",
        "numpy/_core/include/numpy/arrayobject.h",
        "uvloop/loop.pyx",
        "redis/typing.pyi",
        "click-8.dist-info/RECORD",
    ],
)
def test_what_only_builders_and_testers_need_is_left_out(path: str) -> None:
    """Scripts, tests, headers, sources of extensions, stubs and records are needless."""
    assert is_needless(path)


@pytest.mark.parametrize(
    "path",
    [
        "redis/client.py",
        "redis/commands/core.py",
        "certifi/cacert.pem",
        "opentelemetry_api-1.dist-info/entry_points.txt",
        "click-8.dist-info/licenses/LICENSE.txt",
        "uvloop/loop.cpython-311-x86_64-linux-gnu.so",
        "h11/_util.py",
    ],
)
def test_what_runs_or_must_come_along_stays(path: str) -> None:
    """Modules, extensions, data, entry points and licences stay."""
    assert not is_needless(path)


def test_wheels_are_slimmed_and_compiled(tmp_path: Path) -> None:
    """Needless files and the folders that they leave empty go; each module has byte code."""
    for name in ("a/b.py", "a/tests/test_b.py", "bin/tool", "a/c.h"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")

    slim(tmp_path)

    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"a/b.py", "a/__pycache__/b.cpython-311.pyc"}
    assert not (tmp_path / "bin").exists()


def test_the_same_code_makes_the_same_layer(tmp_path: Path) -> None:
    """Laid twice, names, bytes and times are equal, and the version can be asked for."""
    source = tmp_path / "source"
    (source / "one").mkdir(parents=True)
    (source / "one" / "__init__.py").write_text('"""One."""\n')
    (source / "pyproject.toml").write_text('[project]\nname = "gw"\nversion = "9.8.7"\n')
    laid = []
    for name in ("first", "second"):
        into = tmp_path / name / "app"
        lay_code(["one"], source, into)
        even_times(tmp_path / name)
        laid.append(
            {
                path.relative_to(into).as_posix(): (
                    path.read_bytes() if path.is_file() else b"",
                    path.stat().st_mtime,
                )
                for path in into.rglob("*")
            }
        )

    assert laid[0] == laid[1]
    assert {moment for _, moment in laid[0].values()} == {LAYER_TIME_S}
    (found,) = distributions(name="gw", path=[str(tmp_path / "first" / "app")])
    assert found.version == "9.8.7"


def test_a_package_that_is_not_there_ends_the_build(tmp_path: Path) -> None:
    """A misspelt package is named."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "gw"\nversion = "1"\n')

    with pytest.raises(SystemExit, match="no package webap "):
        lay_code(["webap"], tmp_path, tmp_path / "app")


def test_an_interpreter_leaves_its_package_manager_behind(tmp_path: Path) -> None:
    """The interpreter, its standard library and links are copied; packages and tests are not."""
    prefix = tmp_path / "conda"
    for name in ("os.py", "test/test_os.py", "site-packages/conda/core.py", "json/__init__.py"):
        path = prefix / "lib" / "python3.13" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    (prefix / "lib/python3.13/lib-dynload").mkdir()
    (prefix / "bin").mkdir()
    (prefix / "bin" / "python3.13").write_text("#!/bin/sh\n")
    (prefix / "bin" / "python3").symlink_to("python3.13")
    into = tmp_path / "layer"

    lay_interpreter(prefix, into)

    left = {path.relative_to(into).as_posix() for path in into.rglob("*.py")}
    assert left == {"lib/python3.13/os.py", "lib/python3.13/json/__init__.py"}
    assert (into / "bin" / "python3").resolve() == (into / "bin" / "python3.13").resolve()
