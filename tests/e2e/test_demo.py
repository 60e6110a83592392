"""The demonstration as a newcomer runs it: one command, real pictures, verified webhooks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.waiting import wait_until_blocking

ROOT = Path(__file__).parents[2]
GW = Path(sys.executable).with_name("gw")


class Newcomer:
    """A folder with the models' descriptions and nothing else, not even weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        card = folder / "gwproc" / "text-det" / "model.toml"
        card.parent.mkdir(parents=True)
        shutil.copy(ROOT / "gwproc" / "text-det" / "model.toml", card)
        self._environ = {
            name: value for name, value in os.environ.items() if not name.startswith("GW_")
        } | {"PYTHONPATH": str(ROOT)}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [GW, *arguments],
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one command."""
        return subprocess.Popen(
            [GW, *arguments],
            cwd=self.folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def stack_is_up(self) -> bool:
        """Whether the demonstration's stack runs and can work."""
        return self.run("status", "--data", "data/demo").returncode == 0

    def nothing_runs(self) -> bool:
        """Whether no stack runs on the demonstration's data folder."""
        return self.run("status", "--data", "data/demo").returncode == 3


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    """Give a newcomer, and leave nothing running."""
    newcomer = Newcomer(tmp_path)
    yield newcomer
    newcomer.run("down", "--now", "--data", "data/demo")


def rows_of(shown: str) -> list[dict[str, str]]:
    """Give the table's rows by column."""
    lines = shown.splitlines()
    (start,) = (at for at, line in enumerate(lines) if line.startswith("PICTURE "))
    names = lines[start].split()
    table = lines[start + 1 : lines.index("", start)]
    return [dict(zip(names, line.split(), strict=True)) for line in table]


def pixels(path: Path) -> np.ndarray:
    """Decode a picture."""
    picture = cv2.imread(str(path))
    assert picture is not None
    return np.asarray(picture)


def test_the_demonstration_shows_real_pictures_through_every_service(newcomer: Newcomer) -> None:
    """In under a minute every picture has a result, a verified webhook, and its regions drawn."""
    started_s = time.monotonic()

    demo = newcomer.run("demo")

    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert time.monotonic() - started_s < 60
    assert demo.stderr == ""
    assert (newcomer.folder / "gwproc" / "text-det" / "1" / "model.onnx").is_file()
    rows = rows_of(demo.stdout)
    assert len(rows) >= 9
    assert {row["VERIFIED"] for row in rows} == {"yes"}
    assert all(int(row["ATTEMPTS"]) >= 1 for row in rows)
    assert all(int(row["TOTAL"]) >= int(row["DEVICE"]) > 0 for row in rows)
    sizes = {row["PICTURE"]: row["SIZE"] for row in rows}
    assert (sizes["page.png"], sizes["composed.jpg"]) == ("384x191", "1920x1080")
    regions = {row["PICTURE"]: int(row["REGIONS"]) for row in rows}
    assert regions["page.png"] > 0
    assert regions["composed.jpg"] > 0
    out = newcomer.folder / "demo-out"
    for name, count in regions.items():
        if name.endswith(".png"):  # a JPEG differs by being encoded again
            same = np.array_equal(pixels(out / name), pixels(out / "sent" / name))
            assert same == (count == 0), name
        else:
            assert pixels(out / name).shape == pixels(out / "sent" / name).shape
    assert "$(cat data/api-key)" in demo.stdout
    assert newcomer.nothing_runs()


def test_a_picture_that_fails_makes_the_demonstration_fail(newcomer: Newcomer) -> None:
    """One bad picture among one's own: the exit code and one sentence tell, and all is stopped."""
    own = newcomer.folder / "own"
    own.mkdir()
    cv2.imwrite(str(own / "good.png"), np.full((40, 60, 3), 200, np.uint8))
    (own / "torn.jpg").write_bytes((own / "good.png").read_bytes()[:50])

    demo = newcomer.run("demo", "--pictures", "own", "--out", "shown")

    assert demo.returncode == 1
    assert demo.stderr.startswith("gw: 1 of 2 pictures have no result: torn.jpg (refused: ")
    assert str(newcomer.folder / "data" / "demo" / "log") in demo.stderr
    assert "Traceback" not in demo.stderr
    assert [row["VERIFIED"] for row in rows_of(demo.stdout)] == ["yes", "no"]
    assert (newcomer.folder / "shown" / "good.png").is_file()
    assert newcomer.nothing_runs()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_an_interrupted_demonstration_leaves_nothing_running(
    newcomer: Newcomer, number: signal.Signals
) -> None:
    """Ctrl-C while pictures are on their way stops the stack too."""
    demo = newcomer.start("demo")
    assert demo.stdout is not None
    for line in demo.stdout:
        if line.startswith("sending "):
            break

    demo.send_signal(number)

    shown, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1
    assert "Traceback" not in shown
    assert newcomer.nothing_runs()


def test_a_kept_stack_stays_until_it_is_taken_down(newcomer: Newcomer) -> None:
    """With --keep the stack works on, and the next demonstration takes its place."""
    own = newcomer.folder / "own"
    own.mkdir()
    cv2.imwrite(str(own / "good.png"), np.full((40, 60, 3), 200, np.uint8))

    first = newcomer.run("demo", "--pictures", "own", "--keep")
    assert first.returncode == 0, first.stderr
    assert "down --data data/demo" in first.stdout
    wait_until_blocking(newcomer.stack_is_up)

    second = newcomer.run("demo", "--pictures", "own")
    assert second.returncode == 0, second.stderr
    assert "stopped the stack that an earlier demonstration had kept" in second.stdout
    assert newcomer.nothing_runs()
