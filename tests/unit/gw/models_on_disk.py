"""Model files of every kind that the command line reads, made on the spot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from omfile.facts import Format, TensorInfo
from omfile.synthetic import Recipe, pack

Shape = Sequence[int | str | None]


def onnx_bytes(
    input_shape: Shape,
    output_shape: Shape | None,
    *,
    operator: str = "Relu",
    metadata: Mapping[str, str] | None = None,
    dtype: int = TensorProto.FLOAT,
    inputs: int = 1,
) -> bytes:
    """Give an ONNX file that declares these shapes; what its node computes does not matter."""
    graph = helper.make_graph(
        [
            helper.make_node(operator, ["x0"], ["middle"]),
            helper.make_node("Identity", ["middle"], ["y"]),
        ],
        "declared",
        [helper.make_tensor_value_info(f"x{n}", dtype, input_shape) for n in range(inputs)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    helper.set_model_props(model, dict(metadata or {}))
    content: bytes = model.SerializeToString()
    return content


def save_onnx(folder: Path, input_shape: Shape, output_shape: Shape | None, **facts: Any) -> Path:
    """Save what ``onnx_bytes`` gives as ``net.onnx``."""
    path = folder / "net.onnx"
    path.write_bytes(onnx_bytes(input_shape, output_shape, **facts))
    return path


def save_om(
    folder: Path, input_dims: tuple[int, ...], output_dims: tuple[int, ...], **facts: Any
) -> Path:
    """Save a synthetic OM as ``net.om``; *facts* are a recipe's."""
    recipe = Recipe(
        name="net",
        inputs=(TensorInfo(name="images", dims=input_dims, format=Format.NCHW),),
        outputs=(TensorInfo(name="y", dims=output_dims),),
        **facts,
    )
    path = folder / "net.om"
    path.write_bytes(pack(b"graph", recipe))
    return path


def external_onnx_bytes() -> bytes:
    """Give an ONNX file whose weight lies in another file."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.bin")
    shape = ("n", 3, 8, 8)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "external",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, shape),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, (1,)),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        initializer=[weight],
    )
    content: bytes = onnx.ModelProto(
        ir_version=10, graph=graph, opset_import=[helper.make_opsetid("", 17)]
    ).SerializeToString()
    return content
