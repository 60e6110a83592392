"""Graphs that compute something worth comparing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: The convolution model's input side and its outputs' channels.
SIDE_PX = 16
CHANNELS = 5


def save_convolution(path: Path, *, batch: int | str = "n", half: bool = False) -> Path:
    """Save a model of two outputs: a convolved picture, and its means; in half precision or not."""
    dtype = np.float16 if half else np.float32
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    weights = np.random.default_rng(3).normal(0, 0.3, (CHANNELS, 3, 3, 3)).astype(dtype)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("Sigmoid", ["c"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["p"]),
        helper.make_node("Flatten", ["p"], ["means"]),
    ]
    side_px = SIDE_PX // 2
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("x", kind, (batch, 3, SIDE_PX, SIDE_PX))],
        [
            helper.make_tensor_value_info("map", kind, (batch, CHANNELS, side_px, side_px)),
            helper.make_tensor_value_info("means", kind, (batch, CHANNELS)),
        ],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
