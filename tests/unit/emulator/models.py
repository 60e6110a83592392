"""Small models with known results, as OM files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from omfile.aipp_text import AippConfig
from omfile.facts import DataType, Format, TensorInfo
from omfile.synthetic import Recipe, pack

Dims = Sequence[int]


def doubling_graph(dims: Dims, *, axis: str = "n") -> bytes:
    """Give an ONNX graph that doubles its float input and adds one; -1 is a free axis."""
    shape = [f"{axis}{index}" if dim < 0 else dim for index, dim in enumerate(dims)]
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["twice"]),
        helper.make_node("Add", ["twice", "one"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "doubling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [two, one],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    raw: bytes = model.SerializeToString()
    return raw


def products_om(*, side: int, count: int) -> bytes:
    """Give an OM that multiplies its input with the identity *count* times: work for a core."""
    shape = [side, side]
    identity = onnx.numpy_helper.from_array(np.eye(side, dtype=np.float32), "identity")
    names = ["x", *(f"product{index}" for index in range(count - 1)), "y"]
    nodes = [
        helper.make_node("MatMul", [before, "identity"], [after])
        for before, after in pairwise(names)
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "products", [given], [result], [identity])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    ends = [TensorInfo(name=name, dims=tuple(shape), dtype=DataType.FLOAT) for name in ("x", "y")]
    recipe = Recipe(name="products", inputs=(ends[0],), outputs=(ends[1],))
    return pack(model.SerializeToString(), recipe)


def doubling_om(
    dims: Dims = (1, 4), *, out: Dims = (), name: str = "doubling", **recipe: Any
) -> bytes:
    """Give an OM that doubles its float input and adds one."""
    aipp: tuple[AippConfig, ...] = recipe.get("aipp", ())
    layout = Format.NCHW if len(dims) == 4 or aipp else Format.ND
    ends = (
        TensorInfo(name="x", dims=tuple(dims), dtype=DataType.FLOAT, format=layout),
        TensorInfo(name="Add:0:y", dims=tuple(out or dims), dtype=DataType.FLOAT),
    )
    graph = doubling_graph(dims)
    return pack(graph, Recipe(name=name, inputs=ends[:1], outputs=ends[1:], **recipe))


def write(folder: Path, om: bytes, name: str = "model.om") -> str:
    """Write an OM file and give its path."""
    path = folder / name
    path.write_bytes(om)
    return str(path)
