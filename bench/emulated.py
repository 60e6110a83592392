"""A model for the emulated NPU: an OM with gears, that gives the mean of a picture's channels."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from omfile.facts import TensorInfo
from omfile.synthetic import Recipe, pack

ROOT = Path(__file__).parents[1]
SIDE_PX = 8
GEARS = (1, 2, 4, 8, 16)

CARD = f"""[model]
name = "model"
task = "raw"
runtime = "acl"

[input]
width_px = {SIDE_PX}
height_px = {SIDE_PX}
scale = 1.0

[decoder]
kind = "raw"

[batching]
max_size = {GEARS[-1]}
max_delay_ms = 5
"""


def write_model(folder: Path) -> Path:
    """Write the model ``model``, which gives the mean of each channel, into *folder*."""
    place = folder / "model"
    (place / "1").mkdir(parents=True)
    (place / "model.toml").write_text(CARD)
    recipe = Recipe(
        name="model",
        inputs=(TensorInfo(name="x", dims=(-1, 3, SIDE_PX, SIDE_PX)),),
        outputs=(TensorInfo(name="mean", dims=(-1, 3)),),
        dynamic_batch=GEARS,
    )
    (place / "1" / "model.om").write_bytes(pack(_graph().SerializeToString(), recipe))
    return place


def environ(folder: Path, board: str) -> dict[str, str]:
    """Give the environment of a process on the emulated *board*, a TOML text kept in *folder*."""
    file = folder / "board.toml"
    file.write_text(board)
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "emulator"), str(ROOT)]),
        "ACL_EMULATOR_CONFIG": str(file),
        "ACL_EMULATOR_PROCESS_FOLDER": str(folder / "seats"),
    }


def _graph() -> onnx.ModelProto:
    shape = ("n", 3, SIDE_PX, SIDE_PX)
    node = helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0)
    graph = helper.make_graph(
        [node],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ("n", 3))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
