"""What an image of ours holds, how large it is, and what an update moves."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.containers import stand_ins
from tests.containers.conftest import FIGURES, TAG, copy_context
from tests.containers.engine import docker, inspect

pytestmark = pytest.mark.timeout(300)

#: The most that our layers may add to the base, uncompressed.
BUDGETS_MB = {
    "webapp": 36,
    "notifier": 24,
    "postprocess": 18,
    "dispatcher": 420,
    "dispatcher-cpu": 420,
}
BASES = {"dispatcher": stand_ins.ASCEND}

#: What only building or testing needs.
NEEDLESS = re.compile(
    r"(^|/)(tests?|pip|setuptools|wheel|ensurepip|idlelib)/|(^|/)(gcc|cc|ld|conda)$"
    r"|\.(c|h|cpp|hpp|pyx|pxd|pyi|a|whl|part)$|(^|/)(root/\.cache|var/cache)/|\.tar\.(gz|bz2)$"
)

LABELS = ("title", "description", "version", "revision", "source", "created", "base.name")


def layers(tag: str, base: str) -> list[str]:
    """Give the digests of the layers that *tag* has on top of *base*."""
    ours: list[str] = inspect(tag)["RootFS"]["Layers"]
    below: list[str] = inspect(base)["RootFS"]["Layers"]
    assert ours[: len(below)] == below
    return ours[len(below) :]


def layer_archives(tag: str, base: str) -> list[bytes]:
    """Give our layers as archives, lowest first."""
    saved = subprocess.run(["docker", "save", tag], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as image:
        names = json.loads(_member(image, "manifest.json"))[0]["Layers"]
        return [_member(image, name) for name in names[-len(layers(tag, base)) :]]


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


@pytest.mark.parametrize("name", sorted(BUDGETS_MB))
def test_our_layers_stay_within_their_budget(name: str, images: dict[str, str]) -> None:
    """The files of our layers take no more than the image's budget, and none is needless."""
    base = BASES.get(name, stand_ins.PYTHON)
    sizes_mb, needless = [], []
    for archive in layer_archives(images[name], base):
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            members = files.getmembers()
        sizes_mb.append(sum(member.size for member in members) / 1e6)
        files_only = [member.name for member in members if not member.isdir()]
        needless += [path for path in files_only if NEEDLESS.search(path)]
    shown = " + ".join(f"{size:.1f}" for size in sizes_mb if size >= 0.05)
    FIGURES[f"layers of {name}"] = f"{shown} = {sum(sizes_mb):.1f} MB (at most {BUDGETS_MB[name]})"

    assert needless == []
    assert sum(sizes_mb) <= BUDGETS_MB[name]


@pytest.mark.parametrize("name", sorted(BUDGETS_MB))
def test_an_image_says_what_it_is_and_how_it_runs(name: str, images: dict[str, str]) -> None:
    """Labels, user, health check, signal and a command to run it by are there."""
    config = inspect(images[name])["Config"]

    labels = config["Labels"]
    assert {f"org.opencontainers.image.{label}" for label in LABELS} <= labels.keys()
    assert "org.opencontainers.image.base.digest" in labels
    assert labels["org.opencontainers.image.base.name"] == BASES.get(name, stand_ins.PYTHON)
    assert labels["gw.run"].startswith("docker ")
    assert config["User"] == "1000:1000"
    assert config["StopSignal"] == "SIGTERM"
    assert "pipeline.healthcheck" in config["Healthcheck"]["Test"]


def test_an_update_of_the_code_ships_little(
    context: Path, images: dict[str, str], tmp_path: Path
) -> None:
    """After a change of the code, one layer of less than a megabyte is new in the largest image."""
    copy_context(tmp_path, origin=context)
    ids = tmp_path / "pipeline" / "ids.py"
    ids.write_text(ids.read_text() + "\n# changed\n")
    tag = f"gw/webapp:{TAG}-changed"
    arguments = ["--build-arg", f"BASE={stand_ins.PYTHON}", "--tag", tag, "--quiet"]
    docker("build", "--file", str(tmp_path / "deploy/webapp.Dockerfile"), *arguments, str(tmp_path))

    before = layers(images["webapp"], stand_ins.PYTHON)
    after = layers(tag, stand_ins.PYTHON)

    assert after[:-1] == before[:-1]
    assert after[-1] != before[-1]
    shipped = len(gzip.compress(layer_archives(tag, stand_ins.PYTHON)[-1], 6))
    FIGURES["an update of the code ships"] = f"{shipped / 1e6:.2f} MB"
    assert shipped < 1_000_000


def test_the_same_input_makes_the_same_layers(
    context: Path, images: dict[str, str], tmp_path: Path
) -> None:
    """Built again without a cache, the layers are the same, byte by byte: nothing ships again."""
    copy_context(tmp_path, origin=context)
    tag = f"gw/notifier:{TAG}-again"
    arguments = ["--build-arg", f"BASE={stand_ins.PYTHON}", "--no-cache", "--tag", tag, "--quiet"]
    docker(
        "build", "--file", str(tmp_path / "deploy/notifier.Dockerfile"), *arguments, str(tmp_path)
    )

    assert layers(tag, stand_ins.PYTHON) == layers(images["notifier"], stand_ins.PYTHON)


def test_a_base_without_python_is_refused_with_what_to_do(
    context: Path, images: dict[str, str], tmp_path: Path
) -> None:
    """Without an interpreter in the base, and no installer, the build ends with a sentence."""
    copy_context(tmp_path, origin=context)
    arguments = ["--build-arg", f"BASE={stand_ins.ASCEND}", str(tmp_path)]

    answer = subprocess.run(
        ["docker", "build", "--file", str(tmp_path / "deploy/dispatcher.Dockerfile"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode != 0
    assert "put a Miniconda3-*.sh" in answer.stdout + answer.stderr
