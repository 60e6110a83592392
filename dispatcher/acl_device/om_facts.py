"""What an OM file says of itself, read without a device: usable or not, and what it takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dispatcher.acl_device.tensors import DTYPES, free_batch, output_names
from dispatcher.runtime import ModelDescription, TensorSpec
from omfile.checks import check_soc
from omfile.errors import OmError
from omfile.facts import BATCH_GEAR_INPUT, AippMode, OmFile, TensorInfo
from omfile.reader import read_om_file
from pipeline.errors import InvalidSettings

_RGB_BYTES = 3


def describe_file(path: Path, soc_name: str) -> ModelDescription:
    """Describe the OM at *path* for a device of *soc_name* (empty: unknown).

    Raises InvalidSettings, in one sentence with what to do, for a file that cannot be used.
    """
    try:
        om = read_om_file(path)
        check_soc(om, soc_name)
    except OmError as exc:
        raise InvalidSettings(f"{path} cannot be used: {exc}") from exc
    reason = next(_objections(om), None)
    if reason is not None:
        raise InvalidSettings(f"{path} cannot be used: {reason}")
    return _description(om)


def _description(om: OmFile) -> ModelDescription:
    inputs = om.visible_inputs
    gears = tuple(sorted(om.gears.dynamic_batch))
    batch = inputs[0].dims[0] if inputs and inputs[0].dims else -1
    names = output_names([tensor.name for tensor in om.outputs])
    return ModelDescription(
        inputs=tuple(_spec(tensor) for tensor in inputs),
        outputs=tuple(
            TensorSpec(name=name, shape=free_batch(tensor.dims, gears), dtype=_dtype(tensor))
            for name, tensor in zip(names, om.outputs, strict=True)
        ),
        batch_sizes=gears or ((batch,) if batch > 0 else ()),
        memory_bytes=_memory_bytes(om),
    )


def _spec(tensor: TensorInfo) -> TensorSpec:
    # The buffer's shape, which behind AIPP is the picture's and not the model's.
    return TensorSpec(name=tensor.name, shape=tensor.dims_v2 or tensor.dims, dtype=_dtype(tensor))


def _dtype(tensor: TensorInfo) -> str:
    return DTYPES.get(tensor.dtype, tensor.dtype_name)


def _memory_bytes(om: OmFile) -> int:
    """Add up what the model works in, its weights, and the buffers of inputs and outputs."""
    # A file that tells neither is taken for weights as a whole.
    model_bytes = om.work_bytes + om.weight_bytes or om.size_bytes
    return model_bytes + sum(tensor.size_bytes for tensor in (*om.inputs, *om.outputs))


def _objections(om: OmFile) -> Iterator[str]:
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
        yield from (_not_rgb(tensor) for tensor in om.visible_inputs if not _takes_rgb(tensor))
    for tensor in om.outputs:
        if tensor.dtype not in DTYPES:
            yield (
                f"its output {tensor.name} is {tensor.dtype_name}, which gw cannot read: "
                "convert it again with --output_type=FP32"
            )


def _takes_rgb(tensor: TensorInfo) -> bool:
    shape = tensor.dims_v2 or tensor.dims
    return len(shape) != 4 or shape[3] == _RGB_BYTES


def _not_rgb(tensor: TensorInfo) -> str:
    shape = ", ".join(str(dim) for dim in tensor.dims_v2 or tensor.dims)
    return (
        f"its AIPP takes pictures of shape [{shape}], and gw gives three bytes a pixel: convert it "
        "again with input_format: RGB888_U8"
    )
