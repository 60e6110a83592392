"""Writes synthetic OMs: the container of a real one around an ONNX graph.

No NPU can run them. The emulator of ``acl`` can: the part WEIGHTS holds the ONNX file whole, and
two model attributes that no compiler writes tell it (``gw_emulated``) and carry the pixel unit's
settings (``gw_aipp``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from omfile.aipp_text import AippConfig
from omfile.as_built import build_inputs, build_outputs
from omfile.container import (
    FILE_VERSION,
    HEADER,
    HEADER_BYTES,
    MAGIC,
    NARROW_ENTRY,
    NARROW_TABLE,
    WIDE_ENTRY,
    WIDE_TABLE,
)
from omfile.facts import Gears, PartitionKind, TensorInfo
from omfile.inout import (
    COUNT,
    DYNAMIC_BATCH,
    DYNAMIC_DIMS,
    DYNAMIC_HW,
    INPUTS,
    OUTPUTS,
    TENSOR,
    TLV,
)
from omfile.model_def import (
    AIPP_OP,
    ATTR_INT,
    ATTR_TEXT,
    DTYPES,
    ENTRY_KEY,
    ENTRY_VALUE,
    GRAPH_OP,
    INPUT_OP,
    MODEL_ATTR,
    MODEL_GRAPH,
    NAME,
    OP_ATTR,
    OP_INPUT_DESC,
    OP_OUTPUT_DESC,
    OP_TYPE,
    OUTPUT_OP,
    SHAPE_DIM,
    TENSOR_DTYPE,
    TENSOR_LAYOUT,
    TENSOR_SHAPE,
    TENSOR_SIZE,
)
from omfile.protobuf import encode_bytes, encode_varint
from omfile.reader import AIPP_ATTRIBUTE, EMULATED_ATTRIBUTE

_DTYPE_NUMBERS: dict[int, int] = {dtype: number for number, dtype in DTYPES.items()}
_NAME_BYTES = 32

Part = tuple[PartitionKind, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What a synthetic OM is to say.

    *inputs* and *outputs* are the ONNX graph's, -1 on a free axis; gears, pixel unit and sizes are
    worked into them as compiling would. *weight_bytes* of 0 stands for the size of the graph, an
    empty *atc_cmdline* for the command that would ask ATC for the same. The last five fields vary
    the container: *old_layout* is the narrow table, *table_pad* what stands in the wide one's
    padding, *submodels* how many further models follow.
    """

    name: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    soc_version: str = "Ascend310B4"
    dynamic_batch: tuple[int, ...] = ()
    dynamic_hw: tuple[tuple[int, int], ...] = ()
    dynamic_dims: tuple[tuple[int, ...], ...] = ()
    aipp: tuple[AippConfig, ...] = ()
    work_bytes: int = 16 << 20
    weight_bytes: int = 0
    atc_cmdline: str = ""
    atc_version: str = ""
    opp_version: str = ""
    host_env_os: str = "linux"
    host_env_cpu: str = "aarch64"
    old_layout: bool = False
    without_inout_info: bool = False
    is_unknown_model: bool = False
    table_pad: int = 0
    submodels: int = 0

    @property
    def gears(self) -> Gears:
        """The three kinds of gears as one value."""
        return Gears(
            dynamic_batch=self.dynamic_batch,
            dynamic_hw=self.dynamic_hw,
            dynamic_dims=self.dynamic_dims,
        )


def pack(onnx_bytes: bytes, recipe: Recipe) -> bytes:
    """Write an OM that reads back as *recipe* says; raises InvalidRecipe."""
    inputs = build_inputs(recipe.inputs, recipe.gears, recipe.aipp)
    outputs = build_outputs(recipe.outputs, recipe.gears)
    parts: list[Part] = [
        (PartitionKind.MODEL_DEF, _model_def(recipe, inputs, outputs, len(onnx_bytes))),
        (PartitionKind.WEIGHTS, onnx_bytes),
    ]
    if not recipe.without_inout_info:
        parts.insert(0, (PartitionKind.MODEL_INOUT_INFO, _inout(inputs, outputs, recipe.gears)))
    payload = _model(parts, recipe)
    for index in range(recipe.submodels):
        name = encode_bytes(NAME, f"{recipe.name}_{index + 1}")
        payload += _model([(PartitionKind.MODEL_DEF, name)], recipe)
    return _header(recipe, len(payload)) + payload


def _header(recipe: Recipe, payload_bytes: int) -> bytes:
    return HEADER.pack(
        MAGIC,
        HEADER_BYTES,
        FILE_VERSION,
        b"",
        payload_bytes if recipe.old_layout else 0,
        0,
        0,
        0,
        0,
        recipe.name.encode()[: _NAME_BYTES - 1],
        0,
        b"",
        0,
        1 + recipe.submodels,
        b"",
        0,
        0 if recipe.old_layout else payload_bytes,
        0,
        int(recipe.is_unknown_model),
    )


def _model(parts: list[Part], recipe: Recipe) -> bytes:
    """Write one model: its table, then its data in the same order."""
    if recipe.old_layout:
        table = NARROW_TABLE.pack(len(parts))
    else:
        table = WIDE_TABLE.pack(len(parts), recipe.table_pad)
    offset = 0
    for kind, data in parts:
        if recipe.old_layout:
            table += NARROW_ENTRY.pack(kind, offset, len(data))
        else:
            table += WIDE_ENTRY.pack(kind, 0, offset, len(data))
        offset += len(data)
    return table + b"".join(data for _, data in parts)


def _inout(inputs: Iterable[TensorInfo], outputs: Iterable[TensorInfo], gears: Gears) -> bytes:
    entries = [(INPUTS, _tensors(inputs)), (OUTPUTS, _tensors(outputs))]
    if gears.dynamic_batch:
        entries.append(
            (DYNAMIC_BATCH, COUNT.pack(len(gears.dynamic_batch)) + _u64s(gears.dynamic_batch))
        )
    if gears.dynamic_hw:
        entries.append((DYNAMIC_HW, _gear_lists(gears.dynamic_hw)))
    if gears.dynamic_dims:
        entries.append((DYNAMIC_DIMS, _gear_lists(gears.dynamic_dims)))
    return b"".join(TLV.pack(kind, len(value)) + value for kind, value in entries)


def _tensors(tensors: Iterable[TensorInfo]) -> bytes:
    written = [_inout_tensor(tensor) for tensor in tensors]
    return COUNT.pack(len(written)) + b"".join(written)


def _inout_tensor(tensor: TensorInfo) -> bytes:
    name = tensor.name.encode()
    dims, dims_v2 = _i64s(tensor.dims), _i64s(tensor.dims_v2)
    ranges = _i64s(value for pair in tensor.ranges for value in pair)
    base = TENSOR.pack(
        tensor.size_bytes,
        tensor.format,
        tensor.dtype,
        len(name),
        len(dims),
        len(dims_v2),
        len(ranges),
    )
    return base + name + dims + dims_v2 + ranges


def _gear_lists(gears: Iterable[tuple[int, ...]]) -> bytes:
    gears = list(gears)
    counts = b"".join(COUNT.pack(len(gear)) for gear in gears)
    return COUNT.pack(len(gears)) + counts + b"".join(_u64s(gear) for gear in gears)


def _i64s(values: Iterable[int]) -> bytes:
    return b"".join(value.to_bytes(8, "little", signed=True) for value in values)


def _u64s(values: Iterable[int]) -> bytes:
    return b"".join(value.to_bytes(8, "little") for value in values)


def _model_def(
    recipe: Recipe,
    inputs: tuple[TensorInfo, ...],
    outputs: tuple[TensorInfo, ...],
    onnx_bytes: int,
) -> bytes:
    texts = {
        "soc_version": recipe.soc_version,
        "atc_version": recipe.atc_version,
        "opp_version": recipe.opp_version,
        "atc_cmdline": recipe.atc_cmdline or command_line(recipe),
        "target_type": "MINI",
        "host_env_os": recipe.host_env_os,
        "host_env_cpu": recipe.host_env_cpu,
        AIPP_ATTRIBUTE: "".join(config.to_text() for config in recipe.aipp),
    }
    numbers = {
        "memory_size": recipe.work_bytes,
        "weight_size": recipe.weight_bytes or onnx_bytes,
        "framework_type": 5,
        "stream_num": 1,
        "event_num": 0,
        EMULATED_ATTRIBUTE: 1,
    }
    attributes = [_attribute(MODEL_ATTR, key, value) for key, value in texts.items() if value]
    attributes += [_attribute(MODEL_ATTR, key, value) for key, value in numbers.items()]
    graph = encode_bytes(NAME, recipe.name) + _ops(recipe, inputs, outputs)
    return encode_bytes(NAME, recipe.name) + encode_bytes(MODEL_GRAPH, graph) + b"".join(attributes)


def _ops(recipe: Recipe, inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]) -> bytes:
    ops = [
        encode_bytes(NAME, tensor.name)
        + encode_bytes(OP_TYPE, INPUT_OP)
        + _attribute(OP_ATTR, "index", index)
        + encode_bytes(OP_OUTPUT_DESC, _desc(tensor))
        for index, tensor in enumerate(inputs)
    ]
    ops += [
        encode_bytes(NAME, f"aipp_{config.related_input_rank}") + encode_bytes(OP_TYPE, AIPP_OP)
        for config in recipe.aipp
        if config.aipp_mode == "static"
    ]
    ends = b"".join(encode_bytes(OP_INPUT_DESC, _desc(tensor)) for tensor in outputs)
    ops.append(encode_bytes(NAME, "Node_Output") + encode_bytes(OP_TYPE, OUTPUT_OP) + ends)
    return b"".join(encode_bytes(GRAPH_OP, op) for op in ops)


def _desc(tensor: TensorInfo) -> bytes:
    shape = b"".join(encode_varint(SHAPE_DIM, dim) for dim in tensor.dims)
    return (
        encode_bytes(NAME, tensor.name)
        + encode_varint(TENSOR_DTYPE, _DTYPE_NUMBERS.get(tensor.dtype, 0))
        + encode_bytes(TENSOR_SHAPE, shape)
        + encode_bytes(TENSOR_LAYOUT, tensor.format_name)
        + encode_varint(TENSOR_SIZE, tensor.size_bytes)
    )


def _attribute(number: int, key: str, value: str | int) -> bytes:
    content = (
        encode_varint(ATTR_INT, value) if isinstance(value, int) else encode_bytes(ATTR_TEXT, value)
    )
    return encode_bytes(number, encode_bytes(ENTRY_KEY, key) + encode_bytes(ENTRY_VALUE, content))


def command_line(recipe: Recipe) -> str:
    """Give the command that would ask ATC for the same model."""
    shapes = ";".join(
        f"{tensor.name}:{','.join(str(dim) for dim in tensor.dims)}" for tensor in recipe.inputs
    )
    options = [
        f"--model={recipe.name}.onnx",
        "--framework=5",
        f"--output={recipe.name}",
        f'--input_shape="{shapes}"',
        f"--soc_version={recipe.soc_version}",
    ]
    if recipe.dynamic_batch:
        options.append(f'--dynamic_batch_size="{_join(recipe.dynamic_batch)}"')
    if recipe.dynamic_hw:
        options.append(f'--dynamic_image_size="{";".join(map(_join, recipe.dynamic_hw))}"')
    if recipe.dynamic_dims:
        options.append(f'--dynamic_dims="{";".join(map(_join, recipe.dynamic_dims))}"')
    if recipe.aipp:
        options.append("--insert_op_conf=aipp.cfg")
    return " ".join(["atc", *options])


def _join(values: Iterable[int]) -> str:
    return ",".join(str(value) for value in values)
