"""Nothing is left on the NPU: not after an orderly stop, not after many runs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.builders_om import compile_om
from tests.builders_onnx import save_mean_model
from tests.conformance.bench import GEARS, run
from tests.integration.acl.conftest import StartNpu, make_version

RUNS = 20_000


@pytest.mark.usefixtures("no_findings")
@pytest.mark.parametrize("mode", [0, 1])
async def test_a_stopped_device_leaves_nothing_behind(
    start_npu: StartNpu, board: Callable[[str], None], tmp_path: Path, mode: int
) -> None:
    """After loads, runs, an unload and a stop with a model still loaded, no handle is live."""
    board(f"run_mode = {mode}")
    device = await start_npu()
    onnx = save_mean_model(tmp_path / "m.onnx")
    om = compile_om(onnx, tmp_path / "m.om", dynamic_batch=GEARS)
    for name in ("kept", "dropped"):
        await device.load(make_version(om, name=name), timeout_s=30)
        await run(device, f"{name}/1", np.zeros((3, 3, 4, 4), np.float32))
    await device.unload("dropped/1", timeout_s=30)

    await device.stop()


@pytest.mark.usefixtures("board")
@pytest.mark.timeout(240)
def test_many_runs_take_no_memory(tmp_path: Path) -> None:
    """20,000 runs make no handle and take no memory, and at the end nothing is live."""
    answer = subprocess.run(
        [sys.executable, "-m", "tests.integration.acl.many_runs", str(tmp_path), str(RUNS)],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )

    told = json.loads(answer.stdout)
    assert told["runs"] == RUNS
    assert told["live_after_first"] == told["live_after_last"] > 0
    assert told["grown_bytes"] < 4 << 20
    assert told["leaks"] == []
    assert "acl emulator" not in answer.stderr
