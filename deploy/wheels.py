"""Checks that each locked dependency has a wheel for every platform, and what the layers weigh.

``python -m deploy.wheels`` needs a package index and no Docker. The small images stand on musl, the
dispatcher on glibc; both run on x86_64 and aarch64. An image is never built with a compiler, so a
dependency without a wheel would stop its build, on a platform that nobody may have at hand.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.layers import slim

REQUIREMENTS: Final = Path(__file__).parents[1] / "requirements"

MACHINES: Final = ("x86_64", "aarch64")

#: Newest first, as an installer on python:3.11-alpine would take them.
_MUSL: Final = ("musllinux_1_2_{}", "musllinux_1_1_{}")
#: Up to what Ubuntu 22.04, the vendor's base, has: glibc 2.35.
_GLIBC: Final = (
    "manylinux_2_35_{}",
    "manylinux_2_34_{}",
    "manylinux_2_31_{}",
    "manylinux_2_28_{}",
    "manylinux_2_27_{}",
    "manylinux_2_17_{}",
    "manylinux2014_{}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One image's dependencies on one machine. *python* is such as ``3.11``."""

    image: str
    requirements: tuple[str, ...]
    machine: str
    is_musl: bool = True
    python: str = "3.11"

    @property
    def platforms(self) -> list[str]:
        """Give the wheels' platforms that the image takes."""
        return [each.format(self.machine) for each in (_MUSL if self.is_musl else _GLIBC)]


#: The images that stand on musl, with what they install.
SMALL: Final = tuple(
    Target(image=image, requirements=requirements, machine=machine)
    for image, requirements in (
        ("webapp", ("webapp", "operations")),
        ("notifier", ("notifier",)),
        ("postprocess", ("postprocess",)),
    )
    for machine in MACHINES
)


def laid_bytes(target: Target, scratch: Path) -> int:
    """Lay the target's dependencies into *scratch* as its image does; give their bytes.

    Raises CalledProcessError, with pip's words, if a dependency has no wheel for the target.
    """
    wheels, laid = scratch / "wheels", scratch / "laid"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--implementation=cp", "--dest", str(wheels)]
    command += [f"--python-version={target.python}"]
    command += [f"--platform={each}" for each in target.platforms]
    command += [f"--requirement={REQUIREMENTS / name}.txt" for name in target.requirements]
    subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603  # pip
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(laid)
    slim(laid)
    return sum(path.stat().st_size for path in laid.rglob("*") if path.is_file())


def main(targets: Sequence[Target] = SMALL) -> int:
    """Check every target and write a line about each; give how many lack a wheel."""
    lacking = 0
    for target in targets:
        name = f"{target.image} on {target.platforms[0]}"
        with tempfile.TemporaryDirectory() as scratch:
            try:
                told = f"{laid_bytes(target, Path(scratch)) / 1e6:.1f} MB"
            except subprocess.CalledProcessError as error:
                lacking += 1
                told = f"lacks a wheel: {error.stderr.strip().splitlines()[-1]}"
        sys.stdout.write(f"{name}: {told}\n")
    return lacking


if __name__ == "__main__":
    sys.exit(main())
