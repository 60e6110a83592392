"""Tiny ONNX models and cards that fit them, made on the spot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from dispatcher.cards.card import (
    BatchingSpec,
    InputSpec,
    Layout,
    ModelCard,
    RawDecoder,
    ResizeMode,
    RuntimeKind,
    Task,
)
from pipeline.models.rules import Rules

Shape = Sequence[int | str | None]


def make_card(
    *,
    name: str = "tiny",
    side_px: int = 4,
    dtype: str = "float32",
    layout: Layout = Layout.NCHW,
    resize: ResizeMode = ResizeMode.STRETCH,
    max_size: int = 8,
) -> ModelCard:
    """Give a card of a raw model with a square input; in mode ``free``, sides up to *side_px*."""
    spec = InputSpec(dtype=dtype, layout=layout, resize=resize)
    if dtype == "uint8":
        spec = replace(spec, scale=1.0)
    if resize is ResizeMode.FREE:
        spec = replace(spec, min_side_px=1, max_side_px=side_px)
    else:
        spec = replace(spec, width_px=side_px, height_px=side_px)
    return ModelCard(
        name=name,
        task=Task.RAW,
        runtime=RuntimeKind.ONNX,
        input=spec,
        decoder=RawDecoder(),
        batching=BatchingSpec(max_size=max_size),
        rules=Rules(),
        description="",
        settings_sha256="0" * 64,
    )


def save_mean_model(path: Path, *, batch: int | str = "n", side_px: int | str = 4) -> Path:
    """Save a model whose output ``mean`` [batch, 3] is the mean of each float32 channel."""
    node = helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0)
    return _save(path, [node], (batch, 3, side_px, side_px), {"mean": (batch, 3)}, opset=13)


def save_identity_model(path: Path, *, batch: int | str = "n", side_px: int | str = 4) -> Path:
    """Save a model whose outputs ``same`` and ``negative`` are its input and its opposite."""
    shape = (batch, 3, side_px, side_px)
    nodes = [
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Neg", ["x"], ["negative"]),
    ]
    return _save(path, nodes, shape, {"same": shape, "negative": shape})


def save_argmax_model(path: Path, *, batch: int | str = "n", side_px: int | str = 4) -> Path:
    """Save a model of uint8 NHWC pixels whose int64 output ``best`` is the largest channel."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ArgMax", ["f"], ["best"], axis=3, keepdims=0),
    ]
    return _save(
        path,
        nodes,
        (batch, side_px, side_px, 3),
        {"best": (batch, side_px, side_px)},
        types=(TensorProto.UINT8, TensorProto.INT64),
    )


def save_positions_model(path: Path) -> Path:
    """Save a model that breaks the contract: output ``where`` has a row for each non-zero value."""
    nodes = [
        helper.make_node("NonZero", ["x"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["where"]),
    ]
    # How many rows there are shows only in a run: the declared shape could be the batch.
    types = (TensorProto.FLOAT, TensorProto.INT64)
    return _save(path, nodes, ("n", 3, 4, 4), {"where": ("k", 4)}, types=types)


def save_two_input_model(path: Path) -> Path:
    """Save a model with two inputs, which gw cannot feed."""
    shape = ("n", 3, 4, 4)
    node = helper.make_node("Add", ["x", "y"], ["sum"])
    graph = helper.make_graph(
        [node],
        "two",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, shape)],
    )
    return _write(path, graph, 17)


def _save(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    input_shape: Shape,
    outputs: dict[str, Shape],
    *,
    types: tuple[int, int] = (TensorProto.FLOAT, TensorProto.FLOAT),
    opset: int = 17,
) -> Path:
    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [helper.make_tensor_value_info("x", types[0], input_shape)],
        [helper.make_tensor_value_info(name, types[1], shape) for name, shape in outputs.items()],
    )
    return _write(path, graph, opset)


def _write(path: Path, graph: onnx.GraphProto, opset: int) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path
