"""What may not stand together in one model card. Pure: parsed tables in, contradictions out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dispatcher.cards.card import (
    Interpolation,
    Layout,
    PictureDecoder,
    ResizeMode,
    RuntimeKind,
    Task,
)
from dispatcher.cards.tables import DECODERS
from dispatcher.cards.toml_lines import Path
from dispatcher.pictures.dvpp_limits import DVPP_OUTPUT_SIDES_PX

#: The keys of one table as parsed; a key that is absent or was refused is not in it.
Table = Mapping[str, Any]
#: Where a contradiction stands, and the sentence that follows the key's name.
Contradiction = tuple[Path, str]

_FIXED_SIZE_KEYS = ("width_px", "height_px")
_FREE_SIZE_KEYS = ("min_side_px", "max_side_px", "side_multiple_px")
_PIXEL_VALUE_KEYS = ("mean", "std", "scale")
_UNNAMED_CLASS = re.compile(r"class_(0|[1-9][0-9]*)")


def check_model(model: Table, *, folder: str) -> Iterator[Contradiction]:
    """Yield where ``[model]`` does not fit its place."""
    if "name" in model and model["name"] != folder:
        yield ("model", "name"), f'is "{model["name"]}", but its folder is "{folder}"'


def check_input(table: Table, *, runtime: RuntimeKind | None) -> Iterator[Contradiction]:
    """Yield where the input's size, resize mode and pixel values contradict each other."""
    resize = table.get("resize", ResizeMode.STRETCH)
    free = resize is ResizeMode.FREE
    needed = ("min_side_px", "max_side_px") if free else _FIXED_SIZE_KEYS
    foreign = _FIXED_SIZE_KEYS if free else _FREE_SIZE_KEYS
    for key in needed:
        if key not in table:
            yield ("input", key), f'is missing; resize "{resize}" needs it'
    for key in foreign:
        if key in table:
            yield ("input", key), f'does not go with resize "{resize}"; leave it out'
    if free and table.get("min_side_px", 0) > table.get("max_side_px", float("inf")):
        yield ("input", "min_side_px"), "is above max_side_px"
    yield from _check_pixel_values(table, runtime)
    if table.get("layout") is Layout.NV12:
        yield from _check_nv12(table)
    if table.get("decode") is PictureDecoder.DVPP:
        yield from _check_dvpp(table, runtime)


def _check_pixel_values(table: Table, runtime: RuntimeKind | None) -> Iterator[Contradiction]:
    if table.get("dtype") == "uint8" and runtime is RuntimeKind.ONNX:
        for key in _PIXEL_VALUE_KEYS:
            if key in table:
                yield (
                    ("input", key),
                    'does not go with dtype "uint8", which takes pixels as they are; with runtime '
                    '"acl" dynamic AIPP may apply it',
                )


def _check_nv12(table: Table) -> Iterator[Contradiction]:
    if table.get("dtype", "float32") != "uint8":
        yield ("input", "layout"), 'is "nv12", which needs dtype "uint8"'
    if table.get("resize") is ResizeMode.FREE:
        yield ("input", "layout"), 'is "nv12", which does not go with resize "free"'
    for key in _FIXED_SIZE_KEYS:
        if table.get(key, 0) % 2:
            yield ("input", key), 'is odd; layout "nv12" needs even sides'


def _check_dvpp(table: Table, runtime: RuntimeKind | None) -> Iterator[Contradiction]:
    path: Path = ("input", "decode")
    if runtime is RuntimeKind.ONNX:
        yield path, 'is "dvpp", which needs runtime "acl"'
    if table.get("dtype", "float32") != "uint8" or table.get("layout", Layout.NCHW) is Layout.NCHW:
        yield (
            path,
            'is "dvpp", which needs dtype "uint8" and layout "nv12" or "nhwc": '
            "build AIPP into the model",
        )
    if table.get("resize") is ResizeMode.FREE:
        yield path, 'is "dvpp", which does not go with resize "free"'
    if table.get("interpolation", Interpolation.LINEAR) is not Interpolation.LINEAR:
        yield path, 'is "dvpp", which scales by its own filter; leave interpolation out'
    for key, least_px, most_px in DVPP_OUTPUT_SIDES_PX:
        side_px = table.get(key, least_px)
        if side_px % 2 or not least_px <= side_px <= most_px:
            yield ("input", key), f'must be even and {least_px} to {most_px} for decode "dvpp"'


def check_decoder(table: Table, *, task: Task | None) -> Iterator[Contradiction]:
    """Yield where the decoder does not serve the model's task."""
    kind = table.get("kind")
    if kind is None or task is None or DECODERS[kind].task is task:
        return
    fitting = ", ".join(k for k, decoder in DECODERS.items() if decoder.task is task)
    yield ("decoder", "kind"), f'is "{kind}", but model.task is "{task}"; allowed: {fitting}'


def check_versions(table: Table) -> Iterator[Contradiction]:
    """Yield where the choice of versions contradicts itself."""
    if "latest" in table and "pinned" in table:
        yield ("versions", "pinned"), "does not go with latest; give one of them"


def check_rules(
    table: Table, regions: Sequence[Table], task: Task | None
) -> Iterator[Contradiction]:
    """Yield where rules contradict each other or name a label that the model does not give.

    ``labels`` is None where the labels themselves were refused: then every label passes.
    """
    labels = table.get("labels", ())
    named: list[tuple[Path, str]] = [
        *(
            (("rules", key), label)
            for key in ("include", "exclude")
            for label in table.get(key, ())
        ),
        *((("rules", "min_scores", label), label) for label in table.get("min_scores", {})),
        *(
            (("rules", "region", position, "labels"), label)
            for position, region in enumerate(regions)
            for label in region.get("labels", ())
        ),
    ]
    for path, label in named:
        if labels is not None and not _is_known(label, labels):
            yield path, f'names the unknown label "{label}"; {_say_known(labels)}'
    for label in set(table.get("include", ())) & set(table.get("exclude", ())):
        yield ("rules", "exclude"), f'names "{label}", which include keeps'
    if table.get("only_in_regions") and not regions:
        yield ("rules", "only_in_regions"), "is true, but there is no [[rules.region]]"
    if regions and task in (Task.CLASSIFICATION, Task.RAW):
        yield (
            ("rules", "region", 0),
            f'does not go with task "{task}", whose findings have no place',
        )
    yield from _check_regions(regions)


def _check_regions(regions: Sequence[Table]) -> Iterator[Contradiction]:
    seen: set[str] = set()
    for position, region in enumerate(regions):
        path: Path = ("rules", "region", position)
        name = region.get("name")
        if name in seen:
            yield (*path, "name"), f'is "{name}", which an earlier region has'
        if name is not None:
            seen.add(name)
        if ("points" in region) == ("rect" in region):
            yield path, "must have either points = [[x, y], ...] or rect = [x0, y0, x1, y1]"
            continue
        yield from _check_outline(region, path)


def _check_outline(region: Table, path: Path) -> Iterator[Contradiction]:
    key = "points" if "points" in region else "rect"
    points = outline(region)
    if region.get("units", "fraction") == "fraction" and any(n > 1 for p in points for n in p):
        yield (*path, key), 'is outside 0 to 1; give units = "pixels" if these are pixels'
    if key == "rect" and not (points[0][0] < points[2][0] and points[0][1] < points[2][1]):
        yield (*path, key), "must be [x0, y0, x1, y1] with x0 < x1 and y0 < y1"
    elif _doubled_area(points) == 0:
        yield (*path, key), "has no area"


def outline(region: Table) -> tuple[tuple[float, float], ...]:
    """Give the corners of *region*, which has either ``points`` or ``rect``."""
    if "points" in region:
        return tuple((x, y) for x, y in region["points"])
    x0, y0, x1, y1 = region["rect"]
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def _doubled_area(points: Sequence[tuple[float, float]]) -> float:
    following = (*points[1:], points[0])
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(points, following, strict=True)))


def _is_known(label: str, labels: Sequence[str]) -> bool:
    """Tell whether a finding can carry *label*: unnamed classes are called ``class_<id>``."""
    unnamed = _UNNAMED_CLASS.fullmatch(label)
    return label in labels or (unnamed is not None and int(unnamed[1]) >= len(labels))


def _say_known(labels: Sequence[str]) -> str:
    if not labels:
        return "the card gives no labels"
    shown = ", ".join(labels[:10])
    return f"known: {shown}" + (f" and {len(labels) - 10} more" if len(labels) > 10 else "")
