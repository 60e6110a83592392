"""Every table and key of a model card, and what each may be.

One row here is one key of ``model.toml``. Keys are spelled as the fields of the card's dataclasses,
whose defaults stand where a key is left out. What may not stand together is in ``checks.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from dispatcher.cards.card import (
    ClassificationDecoder,
    ColourOrder,
    DbnetDecoder,
    DecoderKind,
    Interpolation,
    Layout,
    PictureDecoder,
    RawDecoder,
    ResizeMode,
    RuntimeKind,
    Task,
    YoloDecoder,
)
from dispatcher.cards.values import Field, by_name, choice, flag, many, number, pattern, text, whole
from pipeline.models.rules import Anchor, Units

#: What a model, and so its folder, may be called: safe in a path, a URL and a key.
MODEL_NAME_PATTERN = r"[a-z0-9][a-z0-9._-]{0,63}"

_LARGEST_SIDE_PX = 8192
_LABEL = text(1, 200)
_LABELS = many(_LABEL, 0, 100_000)
_FRACTION = number(0, 1)
_MOMENT = 1e6  # far above any pixel statistic in use, low enough for float16 not to matter
_COORDINATE = number(0, 1e6)

MODEL = {
    "name": Field(pattern(MODEL_NAME_PATTERN), required=True),
    "task": Field(choice(Task), required=True),
    "runtime": Field(choice(RuntimeKind), required=True),
    "description": Field(text(0, 1000)),
    "warm_up": Field(flag),
}

INPUT = {
    "width_px": Field(whole(1, _LARGEST_SIDE_PX)),
    "height_px": Field(whole(1, _LARGEST_SIDE_PX)),
    "min_side_px": Field(whole(1, _LARGEST_SIDE_PX)),
    "max_side_px": Field(whole(1, _LARGEST_SIDE_PX)),
    "side_multiple_px": Field(whole(1, 256)),
    "resize": Field(choice(ResizeMode)),
    "interpolation": Field(choice(Interpolation)),
    "pad_value": Field(whole(0, 255)),
    "colour": Field(choice(ColourOrder)),
    "layout": Field(choice(Layout)),
    "dtype": Field(choice(("float32", "float16", "uint8"))),
    "scale": Field(number(0, _MOMENT, above=True)),
    "mean": Field(many(number(-_MOMENT, _MOMENT), 3, 3)),
    "std": Field(many(number(0, _MOMENT, above=True), 3, 3)),
    "decode": Field(choice(PictureDecoder)),
}

BATCHING = {
    "max_size": Field(whole(1, 256)),
    "max_delay_ms": Field(whole(0, 10_000)),
}

VERSIONS = {
    "latest": Field(whole(1, 1000)),
    "pinned": Field(many(whole(1, 999_999_999), 1, 100)),
}

REGION = {
    "name": Field(text(1, 64), required=True),
    "points": Field(many(many(_COORDINATE, 2, 2), 3, 1000)),
    "rect": Field(many(_COORDINATE, 4, 4)),
    "units": Field(choice(get_args(Units))),
    "anchor": Field(choice(get_args(Anchor))),
    "labels": Field(_LABELS),
}

RULES = {
    "labels": Field(_LABELS),
    "labels_file": Field(pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")),
    "min_score": Field(_FRACTION),
    "min_scores": Field(by_name(_FRACTION)),
    "include": Field(_LABELS),
    "exclude": Field(_LABELS),
    "only_in_regions": Field(flag),
}


@dataclass(frozen=True, slots=True)
class DecoderTable:
    """One kind of decoder: the type it becomes, its task, and its keys beside ``kind``."""

    type: Any
    task: Task
    fields: Mapping[str, Field]


DECODERS = {
    DecoderKind.CLASSIFICATION: DecoderTable(
        ClassificationDecoder,
        Task.CLASSIFICATION,
        {"top_k": Field(whole(1, 1000)), "softmax": Field(flag)},
    ),
    DecoderKind.YOLO: DecoderTable(
        YoloDecoder,
        Task.DETECTION,
        {
            "version": Field(choice(("v5", "v8", "v11"))),
            "score_threshold": Field(_FRACTION),
            "iou_threshold": Field(_FRACTION),
            "max_detections": Field(whole(1, 10_000)),
        },
    ),
    DecoderKind.DBNET: DecoderTable(
        DbnetDecoder,
        Task.TEXT_DETECTION,
        {
            "bitmap_threshold": Field(_FRACTION),
            "box_threshold": Field(_FRACTION),
            "unclip_ratio": Field(number(0, 10, above=True)),
            "max_regions": Field(whole(1, 10_000)),
            "min_side_px": Field(whole(1, 1000)),
            "dilate": Field(flag),
        },
    ),
    DecoderKind.RAW: DecoderTable(
        RawDecoder,
        Task.RAW,
        {"max_values": Field(whole(1, 1_000_000))},
    ),
}
