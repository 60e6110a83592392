"""What an OM file says of itself, read without a device: usable or not, and what it takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dispatcher.acl_device.tensors import DTYPES, SLOTS, free_batch, input_shape, output_names
from dispatcher.cards.card import InputSpec, Layout
from dispatcher.runtime import ModelDescription, TensorSpec
from omfile.checks import check_soc
from omfile.errors import OmError
from omfile.facts import BATCH_GEAR_INPUT, AippMode, OmFile, TensorInfo
from omfile.reader import read_om_file
from pipeline.errors import InvalidSettings

# The last axis of what AIPP takes, by its format.
_RGB_BYTES, _NV12_BYTES = 3, 1


def describe_file(path: Path, soc_name: str, spec: InputSpec) -> ModelDescription:
    """Describe the OM at *path* for a device of *soc_name* (empty: unknown).

    *spec* is what the card feeds it with, which decides what dynamic AIPP is set to take.

    Raises InvalidSettings, in one sentence with what to do, for a file that cannot be used.
    """
    try:
        om = read_om_file(path)
        check_soc(om, soc_name)
    except OmError as exc:
        raise InvalidSettings(f"{path} cannot be used: {exc}") from exc
    reason = next(_objections(om, spec), None)
    if reason is not None:
        raise InvalidSettings(f"{path} cannot be used: {reason}")
    return _description(om, spec)


def _description(om: OmFile, spec: InputSpec) -> ModelDescription:
    inputs = om.visible_inputs
    gears = tuple(sorted(om.gears.dynamic_batch))
    batch = inputs[0].dims[0] if inputs and inputs[0].dims else -1
    names = output_names([tensor.name for tensor in om.outputs])
    return ModelDescription(
        inputs=tuple(_picture_spec(tensor, om, spec) for tensor in inputs),
        outputs=tuple(
            TensorSpec(name=name, shape=free_batch(tensor.dims, gears), dtype=_dtype(tensor))
            for name, tensor in zip(names, om.outputs, strict=True)
        ),
        batch_sizes=gears or ((batch,) if batch > 0 else ()),
        memory_bytes=_memory_bytes(om),
    )


def _picture_spec(tensor: TensorInfo, om: OmFile, spec: InputSpec) -> TensorSpec:
    # The buffer's shape, which behind AIPP is the picture's and not the model's.
    shape = tensor.dims_v2 or tensor.dims
    if om.aipp.mode is AippMode.DYNAMIC:
        shape = input_shape(shape, spec)
    return TensorSpec(name=tensor.name, shape=shape, dtype=_dtype(tensor))


def _dtype(tensor: TensorInfo) -> str:
    return DTYPES.get(tensor.dtype, tensor.dtype_name)


def _memory_bytes(om: OmFile) -> int:
    """Add up what the model works in, its weights, and the buffers of inputs and outputs."""
    # A file that tells neither is taken for weights as a whole.
    model_bytes = om.work_bytes + om.weight_bytes or om.size_bytes
    return model_bytes + SLOTS * sum(tensor.size_bytes for tensor in (*om.inputs, *om.outputs))


def _objections(om: OmFile, spec: InputSpec) -> Iterator[str]:
    if om.is_dynamic_shape:
        yield (
            "it was built with ranges of shapes; gw takes fixed shapes and batch gears: convert it "
            'again with a fixed --input_shape, or -1 on axis 0 and --dynamic_batch_size="1,2,4,8"'
        )
    if om.gears.dynamic_hw or om.gears.dynamic_dims:
        yield (
            "it has gears of picture size or of dims, which gw does not change: convert it again "
            "with one size, and --dynamic_batch_size if batches may differ"
        )
    hidden = {tensor.name for tensor in om.hidden_inputs}
    if BATCH_GEAR_INPUT in hidden and not om.gears:
        yield "it has gears and does not say which: convert it again with a newer ATC"
    if om.aipp.mode is AippMode.STATIC:
        wanted = _NV12_BYTES if spec.layout is Layout.NV12 else _RGB_BYTES
        yield from (
            _other_pixels(tensor)
            for tensor in om.visible_inputs
            if _last(tensor) not in (0, wanted)
        )
    if spec.dtype == "uint8" and spec.is_normalised and om.aipp.mode is not AippMode.DYNAMIC:
        yield (
            "the card gives scale, mean or std for uint8 pixels, and the file has no dynamic AIPP "
            "that could apply them: leave them out, or convert it with aipp_mode: dynamic"
        )
    for tensor in om.outputs:
        if tensor.dtype not in DTYPES:
            yield (
                f"its output {tensor.name} is {tensor.dtype_name}, which gw cannot read: "
                "convert it again with --output_type=FP32"
            )


def _last(tensor: TensorInfo) -> int:
    """Give the last axis of a picture, 0 for what is none."""
    shape = tensor.dims_v2 or tensor.dims
    return shape[3] if len(shape) == 4 else 0


def _other_pixels(tensor: TensorInfo) -> str:
    shape = ", ".join(str(dim) for dim in tensor.dims_v2 or tensor.dims)
    return (
        f"its AIPP takes pictures of shape [{shape}], and the card gives others: "
        'layout = "nhwc" goes with input_format: RGB888_U8, layout = "nv12" with YUV420SP_U8'
    )
