"""Guesses from shapes what a model does, as a starting point for its card. Pure.

A model file tells shapes and not meaning. What is guessed is marked in the card that is drafted;
what cannot be used at all is refused here, in a sentence.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

from dispatcher.cards.card import DecoderKind, Layout, ResizeMode, Task
from gw.model_inspect import ModelFile
from gw.onnx_graph import UNKNOWN_SHAPE
from omfile.facts import AippMode, DataType, Format, TensorInfo
from pipeline.errors import InvalidSettings

#: Where a model takes any size and does not say which it was trained at.
USUAL_SIDE_PX = 640
_USUAL_BATCH = 8
_LARGEST_BATCH = 256
_LARGEST_LABEL_CHARS = 200
#: A head of more classes than this is not taken for a detector's.
_MAX_DETECTED_CLASSES = 1000
_MAX_CLASSES = 100_000
_STRIDES_PX = (8, 16, 32)
_V5_ANCHORS_PER_CELL = 3
_DTYPES: Mapping[int, str] = {
    DataType.FLOAT: "float32",
    DataType.FLOAT16: "float16",
    DataType.UINT8: "uint8",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InputGuess:
    """The input as the card words it. A side is 0 where the file leaves it free."""

    layout: Layout
    height_px: int
    width_px: int
    dtype: str
    max_batch: int

    @property
    def has_free_sides(self) -> bool:
        """Whether pictures of several sizes go in."""
        return not (self.height_px and self.width_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What the model seems to be. *reason* is the sentence that says from what.

    *classes* is how many the first output tells apart, 0 where that is not known; *values* is how
    many numbers all outputs have for one picture, likewise.
    """

    input: InputGuess
    task: Task
    decoder: DecoderKind
    resize: ResizeMode
    reason: str
    yolo_version: str = ""
    has_softmax: bool = False
    classes: int = 0
    labels: tuple[str, ...] = ()
    values: int = 0


def guess(model: ModelFile) -> Guess:
    """Guess what *model* is; raises InvalidSettings where gw could not feed it."""
    given = _input(model)
    labels = _labels(model)
    first = model.outputs[0] if model.outputs else None
    row = first.dims[1:] if first is not None and first.dims != UNKNOWN_SHAPE else ()
    found = (
        _detector(given, row)
        or _text_map(given, row)
        or _classifier(given, row, model)
        or Guess(
            input=given,
            task=Task.RAW,
            decoder=DecoderKind.RAW,
            resize=ResizeMode.STRETCH,
            reason=f"the first output, {_show(first)}, fits none of the known heads",
            values=_count_values(model),
        )
    )
    if found.resize is not ResizeMode.FREE:
        usual_px = 224 if found.decoder is DecoderKind.CLASSIFICATION else USUAL_SIDE_PX
        found = replace(found, input=_sized(given, model, usual_px))
    return replace(found, labels=labels) if found.classes == len(labels) else found


def _input(model: ModelFile) -> InputGuess:
    visible = [tensor for tensor in model.inputs if not tensor.is_hidden]
    if len(visible) != 1:
        names = ", ".join(tensor.name for tensor in visible)
        raise InvalidSettings(
            f"{model.path} takes {len(visible)} inputs ({names}); gw feeds exactly one"
        )
    tensor = visible[0]
    dims = _largest(tensor.dims_v2 or tensor.dims, model)
    layout = _layout(tensor, dims, model)
    if layout is None:
        raise InvalidSettings(
            f"{model.path} takes {_show(tensor)}; gw feeds pictures of three channels, "
            "as (n, 3, height, width) or (n, height, width, 3), or NV12 to AIPP"
        )
    if tensor.dtype not in _DTYPES:
        known = ", ".join(_DTYPES.values())
        raise InvalidSettings(f"{model.path} takes {_show(tensor)}; gw feeds {known}")
    height_px, width_px = dims[2:] if layout is Layout.NCHW else dims[1:3]
    if layout is Layout.NV12:
        height_px = height_px * 2 // 3
    batch = max(model.gears.dynamic_batch, default=dims[0])
    return InputGuess(
        layout=layout,
        height_px=max(height_px, 0),
        width_px=max(width_px, 0),
        dtype=_DTYPES[tensor.dtype],
        max_batch=min(batch, _LARGEST_BATCH) if batch > 0 else _USUAL_BATCH,
    )


def _largest(dims: tuple[int, ...], model: ModelFile) -> tuple[int, ...]:
    """Fill free axes with the largest picture size or dims that the file was built for."""
    gears = model.gears.dynamic_hw or model.gears.dynamic_dims
    free = [axis for axis, dim in enumerate(dims) if dim < 0]
    values = max(gears, key=prod, default=())
    if len(values) != len(free):
        return dims
    filled = dict(zip(free, values, strict=True))
    return tuple(filled.get(axis, dim) for axis, dim in enumerate(dims))


def _layout(tensor: TensorInfo, dims: tuple[int, ...], model: ModelFile) -> Layout | None:
    if len(dims) != 4:
        return None
    is_behind_aipp = model.om is not None and model.om.aipp.mode is AippMode.STATIC
    # Two thirds of the rows are luma; of grey pictures, which have one byte a pixel too, all are.
    if is_behind_aipp and dims[3] == 1 and dims[1] % 3 == 0 and dims[1] != tensor.dims[1]:
        return Layout.NV12
    if dims[1] == 3 and tensor.format != Format.NHWC:
        return Layout.NCHW
    return Layout.NHWC if dims[3] == 3 else None


def _detector(given: InputGuess, row: tuple[int, ...]) -> Guess | None:
    """Tell the heads of YOLO by the number of cells that the input has."""
    if len(row) != 2:
        return None
    cells = _cells(given)
    version, classes = "", 0
    if row[1] == cells and 5 <= row[0] <= _MAX_DETECTED_CLASSES + 4:
        version, classes = "v8", row[0] - 4
    elif row[0] == _anchors(cells) and 6 <= row[1] <= _MAX_DETECTED_CLASSES + 5:
        version, classes = "v5", row[1] - 5
    if not version:
        return None
    shape = {
        "v8": f"(n, 4 + {classes} classes, {'?' if cells < 0 else cells} anchors)",
        "v5": f"(n, {'?' if cells < 0 else _anchors(cells)} rows, 5 + {classes} classes)",
    }
    return Guess(
        input=given,
        task=Task.DETECTION,
        decoder=DecoderKind.YOLO,
        resize=ResizeMode.LETTERBOX,
        reason=f"the first output is {shape[version]}, as of YOLO{version}",
        yolo_version=version,
        classes=classes,
    )


def _text_map(given: InputGuess, row: tuple[int, ...]) -> Guess | None:
    """Tell a map of probabilities by its size, which is the input's."""
    if len(row) == 3 and row[0] == 1:
        row = row[1:]
    size = (given.height_px or -1, given.width_px or -1)
    if len(row) != 2 or row != size:
        return None
    return Guess(
        input=given,
        task=Task.TEXT_DETECTION,
        decoder=DecoderKind.DBNET,
        resize=ResizeMode.FREE if given.has_free_sides else ResizeMode.LETTERBOX_TOP_LEFT,
        reason="the first output is a map of the input's size, as of a text detector (DBNet)",
        classes=1,
        labels=("text",),
    )


def _classifier(given: InputGuess, row: tuple[int, ...], model: ModelFile) -> Guess | None:
    """Tell a vector of scores: one axis, and others of length 1 behind it."""
    if not row or not 2 <= row[0] <= _MAX_CLASSES or prod(row) != row[0]:
        return None
    operators = model.onnx.last_operators if model.onnx is not None else {}
    name = model.outputs[0].name
    return Guess(
        input=given,
        task=Task.CLASSIFICATION,
        decoder=DecoderKind.CLASSIFICATION,
        resize=ResizeMode.CENTER_CROP,
        reason=f"the first output is a vector of {row[0]} scores",
        has_softmax=operators.get(name, name).lower().startswith("softmax"),
        classes=row[0],
    )


def _count_values(model: ModelFile) -> int:
    rows = [tensor.dims[1:] for tensor in model.outputs]
    is_known = all(min((*t.dims[1:], *t.dims[:1]), default=0) > -2 for t in model.outputs)
    if not is_known or any(dim < 0 for row in rows for dim in row):
        return 0
    return sum(prod(row) for row in rows)


def _cells(given: InputGuess) -> int:
    """Count the cells of the three detection layers; -1 where the input's size is free."""
    if given.has_free_sides:
        return -1
    return sum(-(-given.height_px // s) * -(-given.width_px // s) for s in _STRIDES_PX)


def _anchors(cells: int) -> int:
    return cells if cells < 0 else cells * _V5_ANCHORS_PER_CELL


def _sized(given: InputGuess, model: ModelFile, usual_px: int) -> InputGuess:
    """Settle on a size where the file leaves it free: the one it names, or the usual one."""
    if not given.has_free_sides:
        return given
    named = _literal(model, "imgsz")
    sides = named if isinstance(named, list | tuple) else (named, named)
    if len(sides) != 2 or not all(isinstance(side, int) and 1 <= side <= 8192 for side in sides):
        sides = (usual_px, usual_px)
    return replace(
        given, height_px=given.height_px or sides[0], width_px=given.width_px or sides[1]
    )


def _labels(model: ModelFile) -> tuple[str, ...]:
    """Give the class names that exporters of YOLO put into the file, in the order of their ids."""
    named = _literal(model, "names")
    if not isinstance(named, dict) or sorted(map(str, named)) != sorted(
        str(number) for number in range(len(named))
    ):
        return ()
    labels = tuple(str(named[number]) for number in range(len(named)) if number in named)
    usable = all(0 < len(each) <= _LARGEST_LABEL_CHARS and each.isprintable() for each in labels)
    return labels if usable and len(set(labels)) == len(named) else ()


def _literal(model: ModelFile, key: str) -> object:
    """Read a metadata entry that is a Python literal; None where it is absent or not one."""
    text = model.onnx.metadata.get(key, "") if model.onnx is not None else ""
    try:
        return ast.literal_eval(text) if text else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _show(tensor: TensorInfo | None) -> str:
    if tensor is None:
        return "absent"
    dims = "unknown" if tensor.dims == UNKNOWN_SHAPE else ", ".join(map(str, tensor.dims_v2))
    return f'"{tensor.name}" {tensor.dtype_name} ({dims})'.replace("-1", "?")
