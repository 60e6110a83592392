"""The configuration of the pixel unit (AIPP), as ATC's ``--insert_op_conf`` file holds it.

One ``aipp_op { key: value ... }`` for each converted input. The unit works in this order: channel
swap, crop, colour conversion, ``(in - mean - min) * var_reci``, padding.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields

from omfile.errors import InvalidAipp

#: Input format -> bytes of a pixel, as (numerator, denominator).
PIXEL_BYTES: dict[str, tuple[int, int]] = {
    "YUV420SP_U8": (3, 2),
    "XRGB8888_U8": (4, 1),
    "RGB888_U8": (3, 1),
    "YUV400_U8": (1, 1),
}

_MAX_TEXT_CHARS = 1 << 16
_MAX_SIDE_PX = 4096
_MAX_PADDING_PX = 32
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[-+]?[0-9.][-+0-9.eE]*|[{}:]|\S")
_COMMENT = re.compile(r"#[^\n]*")
_TRUTHS = {"true": True, "false": False, "1": True, "0": False}
_MATRIX = tuple(f"matrix_r{row}c{column}" for row in range(3) for column in range(3))

#: Key of a list's element -> (field, position).
_ELEMENTS: dict[str, tuple[str, int]] = {
    **{key: ("matrix", index) for index, key in enumerate(_MATRIX)},
    **{f"input_bias_{index}": ("input_bias", index) for index in range(3)},
    **{f"output_bias_{index}": ("output_bias", index) for index in range(3)},
    **{f"mean_chn_{index}": ("mean", index) for index in range(4)},
    **{f"min_chn_{index}": ("min", index) for index in range(4)},
    **{f"var_reci_chn_{index}": ("var_reci", index) for index in range(4)},
}

Number = int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class AippConfig:
    """One ``aipp_op``. Switches are bools, sizes pixels; a source size of 0 is the model's own.

    *matrix* is the colour conversion row by row; it takes part only with *csc_switch*.
    """

    aipp_mode: str = "static"
    related_input_rank: int = 0
    input_format: str = ""
    src_image_size_w: int = 0
    src_image_size_h: int = 0
    max_src_image_size: int = 0
    crop: bool = False
    load_start_pos_w: int = 0
    load_start_pos_h: int = 0
    crop_size_w: int = 0
    crop_size_h: int = 0
    padding: bool = False
    left_padding_size: int = 0
    right_padding_size: int = 0
    top_padding_size: int = 0
    bottom_padding_size: int = 0
    padding_value: float = 0.0
    csc_switch: bool = False
    rbuv_swap_switch: bool = False
    ax_swap_switch: bool = False
    matrix: tuple[int, ...] = (0,) * 9
    input_bias: tuple[int, ...] = (0,) * 3
    output_bias: tuple[int, ...] = (0,) * 3
    mean: tuple[int, ...] = (0,) * 4
    min: tuple[float, ...] = (0.0,) * 4
    var_reci: tuple[float, ...] = (1.0,) * 4

    def buffer_dims(self, batch: int, height_px: int, width_px: int) -> tuple[int, int, int, int]:
        """Give the shape of the picture buffer, from the source size or else the model's own."""
        height_px = self.src_image_size_h or height_px
        width_px = self.src_image_size_w or width_px
        if self.input_format == "YUV420SP_U8":
            return batch, height_px * 3 // 2, width_px, 1
        return batch, height_px, width_px, PIXEL_BYTES[self.input_format][0]

    def to_text(self) -> str:
        """Write the ``aipp_op``; what has its default value is left out."""
        default = AippConfig()
        lines: list[str] = []
        for name in _SCALARS:
            value = getattr(self, name)
            if value != getattr(default, name) or name in ("aipp_mode", "input_format"):
                lines += [f"  {name}: {_show(value)}"] if value != "" else []
        for key, (name, index) in _ELEMENTS.items():
            value = getattr(self, name)
            if value != getattr(default, name):
                lines.append(f"  {key}: {_show(value[index])}")
        return "\n".join(["aipp_op {", *lines, "}"]) + "\n"


_LISTS = ("matrix", "input_bias", "output_bias", "mean", "min", "var_reci")
_SCALARS = tuple(each.name for each in fields(AippConfig) if each.name not in _LISTS)
_WORDS = ("aipp_mode", "input_format")
_FLOATS = ("padding_value", "min", "var_reci")
_SWITCHES = ("crop", "padding", "csc_switch", "rbuv_swap_switch", "ax_swap_switch")


def read_aipp_text(text: str) -> tuple[AippConfig, ...]:
    """Parse a configuration file; raises InvalidAipp, in a sentence that names the key."""
    if len(text) > _MAX_TEXT_CHARS:
        raise InvalidAipp(f"the AIPP file is longer than {_MAX_TEXT_CHARS} characters: shorten it")
    configs = tuple(_config(pairs) for pairs in _blocks(_COMMENT.sub("", text)))
    if not configs:
        raise InvalidAipp("the AIPP file has no aipp_op: add one for each converted input")
    return configs


def _blocks(text: str) -> Iterator[dict[str, str]]:
    words = iter(_WORD.findall(text))
    for word in words:
        if word == ":":
            continue
        if word != "aipp_op":
            raise InvalidAipp(f'the AIPP file has "{word}" outside of an aipp_op: remove it')
        if (opening := next(words, "")) == ":":
            opening = next(words, "")
        if opening != "{":
            raise InvalidAipp("the AIPP file has an aipp_op without braces: write aipp_op { ... }")
        yield _pairs(words)


def _pairs(words: Iterator[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for key in words:
        if key == "}":
            return pairs
        colon, value = next(words, ""), next(words, "")
        if colon != ":" or value in ("", "{", "}", ":"):
            raise InvalidAipp(f'the AIPP file has no value after "{key}": write {key}: VALUE')
        if key in pairs:
            raise InvalidAipp(f'the AIPP file gives "{key}" twice in one aipp_op: keep one')
        pairs[key] = value
    raise InvalidAipp("the AIPP file ends inside an aipp_op: close it with a brace")


def _config(pairs: dict[str, str]) -> AippConfig:
    default = AippConfig()
    lists: dict[str, list[Number]] = {name: list(getattr(default, name)) for name in _LISTS}
    scalars: dict[str, str | Number] = {}
    for key, value in pairs.items():
        if key in _ELEMENTS:
            name, index = _ELEMENTS[key]
            lists[name][index] = _number(key, value, is_float=name in _FLOATS)
        elif key in _WORDS:
            scalars[key] = value
        elif key in _SWITCHES:
            scalars[key] = _switch(key, value)
        elif key in _SCALARS:
            scalars[key] = _number(key, value, is_float=key in _FLOATS)
        else:
            raise InvalidAipp(f'the AIPP file has the key "{key}", which is not one: remove it')
    config = AippConfig(**scalars, **{name: tuple(values) for name, values in lists.items()})  # type: ignore[arg-type]  # checked by key above
    _check(config, has_matrix=any(key in pairs for key in _MATRIX))
    return config


def _check(config: AippConfig, *, has_matrix: bool) -> None:
    _require(config.aipp_mode in ("static", "dynamic"), "aipp_mode", "static or dynamic")
    if config.aipp_mode == "dynamic":
        _require(config.max_src_image_size > 0, "max_src_image_size", "the largest picture's bytes")
        return
    _require(config.input_format in PIXEL_BYTES, "input_format", f"one of {', '.join(PIXEL_BYTES)}")
    width_px, height_px = config.src_image_size_w, config.src_image_size_h
    _require(width_px == 0 or 2 <= width_px <= _MAX_SIDE_PX, "src_image_size_w", "0 or 2..4096")
    _require(height_px == 0 or 1 <= height_px <= _MAX_SIDE_PX, "src_image_size_h", "0 or 1..4096")
    if config.input_format == "YUV420SP_U8":
        even = ("src_image_size_w", "src_image_size_h", "load_start_pos_w", "load_start_pos_h")
        for key in even:
            _require(getattr(config, key) % 2 == 0, key, "even for YUV420SP_U8")
    if config.crop or config.padding:
        _require(width_px > 0 and height_px > 0, "src_image_size_w/h", "set with crop or padding")
    for side in ("left", "right", "top", "bottom"):
        key = f"{side}_padding_size"
        _require(0 <= getattr(config, key) <= _MAX_PADDING_PX, key, f"0..{_MAX_PADDING_PX}")
    _require(all(-32768 <= v <= 32767 for v in config.matrix), "matrix_r*c*", "a 16-bit number")
    _require(all(0 <= v <= 255 for v in config.mean), "mean_chn_*", "0..255")
    _require(has_matrix or not config.csc_switch, "matrix_r*c*", "given with csc_switch")


def _require(condition: bool, key: str, what: str) -> None:
    if not condition:
        raise InvalidAipp(f"the AIPP file's {key} must be {what}: correct it")


def _switch(key: str, value: str) -> bool:
    _require(value in _TRUTHS, key, "true or false")
    return _TRUTHS[value]


def _number(key: str, value: str, *, is_float: bool = False) -> Number:
    try:
        return float(value) if is_float else int(value)
    except (ValueError, OverflowError):
        kind = "a number" if is_float else "a whole number"
        raise InvalidAipp(f'the AIPP file\'s {key} is "{value[:40]}": give {kind}') from None


def _show(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
