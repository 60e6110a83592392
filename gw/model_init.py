"""Drafts the card of a model from its file: a ``model.toml`` to check and complete. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from dispatcher.cards.card import DecoderKind, ResizeMode, RuntimeKind
from dispatcher.cards.tables import MODEL_NAME_PATTERN
from gw.model_guess import Guess, guess
from gw.model_inspect import ModelFile
from omfile.facts import AippMode
from pipeline.errors import InvalidSettings

_NAME = re.compile(MODEL_NAME_PATTERN)
#: The published statistics of ImageNet, for pixels from 0 to 1.
_IMAGENET_MEAN = "[0.485, 0.456, 0.406]"
_IMAGENET_STD = "[0.229, 0.224, 0.225]"

#: Bounds of the raw decoder's ``max_values``: what it has by itself, and what a card may ask for.
_USUAL_VALUES = 4096
_MOST_VALUES = 1_000_000


def model_name(path: Path, asked: str = "") -> str:
    """Name the model after *asked*, else its file, or its folder where the file is ``model.*``.

    Raises InvalidSettings where that gives no usable name.
    """
    stem = path.stem if path.stem.lower() != "model" else path.absolute().parent.name
    name = asked or re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:64]
    if not _NAME.fullmatch(name):
        raise InvalidSettings(
            f'"{name}" is not a model name ({MODEL_NAME_PATTERN}): give one with --name'
        )
    return name


def draft_card(model: ModelFile, name: str) -> str:
    """Write the card of *model*; raises InvalidSettings where gw could not feed it."""
    found = guess(model)
    runtime = RuntimeKind.ACL if model.om is not None else RuntimeKind.ONNX
    lines = [
        f"# Drafted from {_plain(model.path.name)}. A model file tells shapes and not meaning:",
        "# compare every line below a CHECK with how the model was trained.",
        "",
        "[model]",
        f'name = "{name}"',
        f"# CHECK: {_plain(found.reason)}.",
        f'task = "{found.task}"',
        f'runtime = "{runtime}"',
        f"description = {_quoted(_description(model, name))}",
        "",
        "[input]",
        *_input_lines(found, model),
        "",
        "[decoder]",
        *_decoder_lines(found),
        "",
        "[batching]",
        *_batching_lines(found, model),
        "",
        "[rules]",
        *_rules_lines(found),
    ]
    return "\n".join(lines) + "\n"


def _description(model: ModelFile, name: str) -> str:
    if model.onnx is not None:
        described = model.onnx.metadata.get("description", "")
        return described[:1000] or name
    return name


def _input_lines(found: Guess, model: ModelFile) -> Iterator[str]:
    given = found.input
    if found.resize is ResizeMode.FREE:
        yield "# CHECK: the bounds are PP-OCR's; a larger picture costs memory and time."
        yield "min_side_px = 736"
        yield "max_side_px = 1984"
    else:
        if model.gears.dynamic_hw:
            yield "# The largest of the sizes that the file was built for."
        elif any(dim < 0 for dim in _picture_axes(model)):
            yield "# CHECK: the file takes any size; use the one it was trained at."
        yield f"width_px = {given.width_px}"
        yield f"height_px = {given.height_px}"
    yield "# CHECK: stretch, letterbox, letterbox_top_left, center_crop or free."
    yield f'resize = "{found.resize}"'
    yield "# CHECK: models trained with OpenCV's pictures often take bgr."
    yield f'colour = "{"bgr" if found.decoder is DecoderKind.DBNET else "rgb"}"'
    yield f'layout = "{given.layout}"'
    yield f'dtype = "{given.dtype}"'
    if model.om is not None and model.om.aipp.mode is AippMode.DYNAMIC:
        yield "# Dynamic AIPP: it is set to apply scale, mean and std on the NPU."
    elif given.dtype == "uint8":
        yield "# Pixels go in as they are: scale, mean and std are part of the model."
        return
    yield "# CHECK: a pixel becomes (pixel * scale - mean) / std."
    yield f"scale = {1 / 255!r}"
    if found.decoder is DecoderKind.CLASSIFICATION:
        yield f"mean = {_IMAGENET_MEAN}"
        yield f"std = {_IMAGENET_STD}"
    elif found.decoder is DecoderKind.DBNET:
        yield "mean = [0.5, 0.5, 0.5]"
        yield "std = [0.5, 0.5, 0.5]"
    else:
        yield "mean = [0.0, 0.0, 0.0]"
        yield "std = [1.0, 1.0, 1.0]"


def _picture_axes(model: ModelFile) -> tuple[int, ...]:
    visible = next(tensor for tensor in model.inputs if not tensor.is_hidden)
    return visible.dims[1:]


def _decoder_lines(found: Guess) -> Iterator[str]:
    yield f'kind = "{found.decoder}"'
    if found.decoder is DecoderKind.YOLO:
        yield "# v8 stands for every head without objectness: v8, v11 and their like."
        yield f'version = "{found.yolo_version}"'
        yield "score_threshold = 0.25"
        yield "iou_threshold = 0.45"
    elif found.decoder is DecoderKind.CLASSIFICATION:
        yield f"top_k = {min(5, found.classes)}"
        ends = "ends" if found.has_softmax else "does not seem to end"
        yield f"# CHECK: the model {ends} in a softmax of its own; true has gw apply one."
        yield f"softmax = {str(not found.has_softmax).lower()}"
    elif found.decoder is DecoderKind.RAW:
        yield "# CHECK: jobs fail where the outputs have more numbers than this."
        yield f"max_values = {min(found.values or _USUAL_VALUES, _MOST_VALUES)}"


def _batching_lines(found: Guess, model: ModelFile) -> Iterator[str]:
    if model.gears.dynamic_batch:
        gears = ", ".join(map(str, model.gears.dynamic_batch))
        yield f"# The file was built for batches of {gears}."
    yield f"max_size = {found.input.max_batch}"
    yield "# CHECK: how long the first picture of a batch may wait for others."
    yield "max_delay_ms = 5"


def _rules_lines(found: Guess) -> Iterator[str]:
    if found.labels:
        yield "labels = ["
        yield from (f"    {_quoted(label)}," for label in found.labels)
        yield "]"
    elif found.classes:
        yield f"# CHECK: the {found.classes} classes are called class_0, class_1, ... until they"
        yield '# are named here: labels = ["cat", "dog", ...], or labels_file = "labels.txt" with'
        yield "# one name in a line, in the order of the model's outputs."
    else:
        yield "# No classes are known."


def _quoted(text: str) -> str:
    """Write a TOML string; its escapes are JSON's."""
    return json.dumps(_plain(text), ensure_ascii=False)


def _plain(text: str) -> str:
    """Replace what would end a comment or is not text."""
    return "".join(each if each.isprintable() else " " for each in text)
