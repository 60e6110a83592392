"""The stand-ins are glibc, the real base of the small images is musl: its wheels are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.wheels import MACHINES, SMALL, Target, laid_bytes
from tests.containers.conftest import FIGURES
from tests.containers.test_images import BUDGETS_MB

#: Our own code's share of a budget: what it takes today, and half as much again.
CODE_MB = 2

#: An interpreter from Miniconda may be newer than ours.
PYTHONS = ("3.11", "3.13")


@pytest.mark.parametrize("target", SMALL, ids=lambda target: f"{target.image}-{target.machine}")
@pytest.mark.timeout(300)
def test_the_small_images_can_be_built_on_musl(target: Target, tmp_path: Path) -> None:
    """Every dependency has a musl wheel, and all of them as laid into the image fit its budget."""
    size_mb = laid_bytes(target, tmp_path) / 1e6

    FIGURES[f"dependencies of {target.image} on musl, {target.machine}"] = f"{size_mb:.1f} MB"
    assert size_mb + CODE_MB <= BUDGETS_MB[target.image]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.timeout(300)
def test_the_dispatcher_can_be_built_on_arm(python: str, tmp_path: Path) -> None:
    """Every dependency of the dispatcher has an aarch64 wheel for the vendor's glibc."""
    target = Target(
        image="dispatcher",
        requirements=("dispatcher", "onnx", "operations"),
        machine=MACHINES[-1],
        is_musl=False,
        python=python,
    )

    size_mb = laid_bytes(target, tmp_path) / 1e6

    assert size_mb + CODE_MB <= BUDGETS_MB["dispatcher"]
