"""Programs as anybody would write them run unchanged, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from omfile.facts import DataType, TensorInfo
from omfile.synthetic import Recipe, pack
from tests.unit.emulator.board import run_script
from tests.unit.emulator.models import doubling_om, write

SAMPLES = Path(__file__).parent / "samples"


def _softmax_om() -> bytes:
    ends = ("x", "scores")
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 10]) for name in ends]
    node = helper.make_node("Softmax", ["x"], ["scores"], axis=1)
    graph = helper.make_graph([node], "softmax", infos[:1], infos[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    tensors = [TensorInfo(name=name, dims=(1, 10), dtype=DataType.FLOAT) for name in ends]
    recipe = Recipe(name="softmax", inputs=(tensors[0],), outputs=(tensors[1],))
    return pack(model.SerializeToString(), recipe)


@pytest.mark.parametrize("run_mode", ["0", "1"])
def test_classification_with_a_static_model(tmp_path: Path, run_mode: str) -> None:
    """The best class comes first with its probability, and nothing is left at exit."""
    model = write(tmp_path, _softmax_om())
    values = np.arange(10, dtype=np.float32)
    values[3] = 20
    values.tofile(tmp_path / "input.bin")
    done = run_script(
        (SAMPLES / "classify.py").read_text("utf-8"),
        tmp_path,
        model,
        str(tmp_path / "input.bin"),
        ACL_EMULATOR_RUN_MODE=run_mode,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "3 1.0000"
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["3", "9", "8"]


@pytest.mark.parametrize("run_mode", ["0", "1"])
def test_batches_with_gears(tmp_path: Path, run_mode: str) -> None:
    """Seven items go as four, two and one, through the hidden input; nothing is left at exit."""
    model = write(tmp_path, doubling_om((-1, 4), out=(4, 4), dynamic_batch=(1, 2, 4)))
    items = np.arange(28, dtype=np.float32).reshape(7, 4)
    items.tofile(tmp_path / "input.bin")
    done = run_script(
        (SAMPLES / "batches.py").read_text("utf-8"),
        tmp_path,
        model,
        str(tmp_path / "input.bin"),
        str(tmp_path / "output.bin"),
        ACL_EMULATOR_RUN_MODE=run_mode,
    )
    # The old bridge to numpy warns, as the binding does.
    assert done.returncode == 0, done.stderr
    assert "acl emulator" not in done.stderr
    assert done.stdout.split() == ["batch", "4", "batch", "2", "batch", "1"]
    result = np.fromfile(tmp_path / "output.bin", np.float32).reshape(7, 4)
    np.testing.assert_array_equal(result, items * 2 + 1)
