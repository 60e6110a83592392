"""Every picture unit, in either run mode, on a stream of its own and on somebody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest

#: Of a JPEG of 200 x 100, dark (90) on the left and bright (200) on the right.
EXPECTED = {
    # Width, height, and the strides in multiples of 64 and 16.
    "decoded": [200, 100, 256, 112],
    "halves": [90, 200],
    "resized": [60, 100, 90],
    "cropped": [50, 40, 200],
    "pasted": [128, 90],
    "odd paste": 100000,
    "rgb": [600, 90],
    "encoded": [100, 208, 3, 90],
    "progressive": 148052,
    "damaged": 507011,
    # The channel works on after failures.
    "after": 90,
}


@pytest.mark.parametrize("mode", [0, 1])
def test_a_picture_goes_through_every_unit(board: Callable[[str], None], mode: int) -> None:
    """Sizes, strides, pixels and refusals are as documented, and nothing is left behind."""
    board(f"run_mode = {mode}")

    answer = subprocess.run(
        [sys.executable, "-m", "tests.integration.acl.picture_units"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=dict(os.environ),
    )

    assert json.loads(answer.stdout) == [EXPECTED, EXPECTED]
    assert "acl emulator" not in answer.stderr
