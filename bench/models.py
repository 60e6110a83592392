"""The models to measure with, written into a models folder of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bench.pictures import draw_pictures
from gw.model_fetch import DEMO_MODELS, fetch_model

#: Costs next to nothing: what is left is the platform.
THUMBNAIL = "thumbnail"
#: About as dear as a small detector, with the head of one.
DETECTOR = "detector"
TEXT = "text-det"
#: Gives its input back: 150,528 values, a picture of 224 x 224.
ECHO = "echo"
ECHO_SIDE_PX = 224

_SEED = 11
_CLASSES = 80
_SIDE_PX = 320
_ANCHORS = sum((_SIDE_PX // stride) ** 2 for stride in (8, 16, 32))
#: So many anchors of the middle picture pass the score threshold, before suppression.
_PASSING = 30
_THRESHOLD = 0.25

_CARD = """[model]
name = "{name}"
task = "{task}"
runtime = "onnx"

[input]
width_px = {side_px}
height_px = {side_px}

[decoder]
{decoder}

[batching]
max_size = 8
max_delay_ms = 5
"""


def write_models(folder: Path) -> Path:
    """Write all models into *folder*; raises Unavailable where the demo's weights cannot be had."""
    _write(folder, THUMBNAIL, _thumbnail(), task="raw", side_px=64, decoder='kind = "raw"')
    decoder = f'kind = "yolo"\nversion = "v8"\nscore_threshold = {_THRESHOLD}'
    _write(folder, DETECTOR, _detector(), task="detection", side_px=_SIDE_PX, decoder=decoder)
    (folder / TEXT).mkdir()
    card = Path(__file__).parents[1] / "gwproc" / TEXT / "model.toml"
    shutil.copyfile(card, folder / TEXT / "model.toml")
    fetch_model(next(model for model in DEMO_MODELS if model.name == TEXT), folder)
    return folder


def write_echo(folder: Path) -> Path:
    """Write the model that gives its input back, alone, into *folder*."""
    outputs: dict[str, tuple[int | str, ...]] = {"y": ("n", 3, ECHO_SIDE_PX, ECHO_SIDE_PX)}
    node = helper.make_node("Identity", ["x"], ["y"])
    model = _model([node], [], side_px=ECHO_SIDE_PX, outputs=outputs, opset=13)
    _write(folder, ECHO, model, task="raw", side_px=ECHO_SIDE_PX, decoder='kind = "raw"')
    return folder


def _write(folder: Path, name: str, model: onnx.ModelProto, **card: Any) -> None:
    (folder / name / "1").mkdir(parents=True)
    (folder / name / "model.toml").write_text(_CARD.format(name=name, **card), "utf-8")
    (folder / name / "1" / "model.onnx").write_bytes(model.SerializeToString())


def _thumbnail() -> onnx.ModelProto:
    """Give the mean of each colour channel."""
    node = helper.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0)
    return _model([node], [], side_px=64, outputs={"mean": ("n", 3)}, opset=13)


def _detector() -> onnx.ModelProto:
    """Give a backbone of convolutions with a v8 head on strides 8, 16 and 32.

    The weights are random. The score's bias is set so that some anchors pass, as they do in a
    picture with something in it: suppression and the way of the findings are measured too.
    """
    best = float(np.median(_last_passing_scores(_detector_graph(score_bias=0.0))))
    logit = np.log(best / (1.0 - best)) - np.log(_THRESHOLD / (1.0 - _THRESHOLD))
    return _detector_graph(score_bias=-float(logit))


def _last_passing_scores(model: onnx.ModelProto) -> list[float]:
    """Give the score of each picture's last anchor that shall pass."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    lasts = []
    for picture in draw_pictures():
        head = session.run(None, {"x": _as_input(picture)})[0][0]
        lasts.append(float(np.sort(head[4:].max(axis=0))[-_PASSING]))
    return lasts


def _as_input(picture: bytes) -> NDArray[np.float32]:
    pixels: Any = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR_RGB)
    scaled: Any = cv2.resize(pixels, (_SIDE_PX, _SIDE_PX)).astype(np.float32) / 255.0
    batch: NDArray[np.float32] = np.ascontiguousarray(scaled.transpose(2, 0, 1)[np.newaxis])
    return batch


def _detector_graph(*, score_bias: float) -> onnx.ModelProto:
    random = np.random.default_rng(_SEED)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def conv(
        source: str, shape: tuple[int, int, int], *, stride: int = 1, bias: float = 0.0
    ) -> str:
        inputs, outputs, side = shape
        name = f"conv{len(weights) // 2}"
        values = random.normal(
            0.0, (2.0 / (inputs * side * side)) ** 0.5, (outputs, inputs, side, side)
        )
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"{name}_w"))
        weights.append(numpy_helper.from_array(np.full(outputs, bias, np.float32), f"{name}_b"))
        nodes.append(
            helper.make_node(
                "Conv",
                [source, f"{name}_w", f"{name}_b"],
                [name],
                kernel_shape=[side, side],
                strides=[stride, stride],
                pads=[side // 2] * 4,
            )
        )
        return name

    def active(source: str) -> str:
        nodes.append(helper.make_node("Relu", [source], [f"{source}_r"]))
        return f"{source}_r"

    features = _backbone(conv, active)
    boxes = [_flat(nodes, conv(name, (channels, 4, 1)), 4) for name, channels in features]
    scores = [
        _flat(nodes, conv(name, (channels, _CLASSES, 1), bias=score_bias), _CLASSES)
        for name, channels in features
    ]
    nodes += [
        helper.make_node("Concat", boxes, ["boxes"], axis=2),
        helper.make_node("Concat", scores, ["logits"], axis=2),
        helper.make_node("Sigmoid", ["boxes"], ["places"]),
        helper.make_node("Mul", ["places", "scale"], ["scaled"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("Concat", ["scaled", "scores"], ["head"], axis=1),
    ]
    # Middles anywhere in the input, sides up to a quarter of it.
    scale = np.array([_SIDE_PX, _SIDE_PX, _SIDE_PX / 4, _SIDE_PX / 4], np.float32)
    weights.append(numpy_helper.from_array(scale.reshape(1, 4, 1), "scale"))
    shape = ("n", 4 + _CLASSES, _ANCHORS)
    return _model(nodes, weights, side_px=_SIDE_PX, outputs={"head": shape}, opset=17)


def _backbone(
    conv: Callable[..., str], active: Callable[[str], str]
) -> tuple[tuple[str, int], ...]:
    """Give the feature maps of strides 8, 16 and 32 with their channels."""
    stem = active(conv("x", (3, 16, 3), stride=2))
    stem = active(conv(stem, (16, 32, 3), stride=2))
    features = []
    name, channels = stem, 32
    for wider in (96, 160, 256):
        name = active(conv(name, (channels, wider, 3), stride=2))
        for _ in range(2):
            name = active(conv(name, (wider, wider, 3)))
        channels = wider
        features.append((name, wider))
    return tuple(features)


def _flat(nodes: list[onnx.NodeProto], source: str, channels: int) -> str:
    """Turn (n, channels, height, width) into (n, channels, anchors)."""
    name = f"{source}_flat"
    shape = numpy_helper.from_array(np.array([0, channels, -1], np.int64))
    nodes += [
        helper.make_node("Constant", [], [f"{name}_shape"], value=shape),
        helper.make_node("Reshape", [source, f"{name}_shape"], [name]),
    ]
    return name


def _model(
    nodes: list[onnx.NodeProto],
    weights: list[onnx.TensorProto],
    *,
    side_px: int,
    outputs: dict[str, tuple[int | str, ...]],
    opset: int,
) -> onnx.ModelProto:
    kind = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "bench",
        [helper.make_tensor_value_info("x", kind, ("n", 3, side_px, side_px))],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()],
        initializer=weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model)
    return model
