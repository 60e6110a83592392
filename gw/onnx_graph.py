"""What an ONNX file says about its inputs and outputs, read without a runtime.

Only the file's description is walked; weights are passed over, and no operator is needed to be
known. Source: ``onnx.proto`` of the ONNX specification (field numbers).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from omfile.errors import OmError
from omfile.facts import DataType, Format, TensorInfo
from omfile.protobuf import Budget, as_int64, as_text, fields, submessages
from pipeline.errors import InvalidSettings

#: Dims of a tensor about whose shape the file says nothing.
UNKNOWN_SHAPE: tuple[int, ...] = (-2,)

# Large language models have some hundred thousand nodes; those of pictures a few thousand.
_MAX_FIELDS = 4_000_000
_MAX_NAMES_FOLLOWED = 16
_MAX_METADATA_BYTES = 1 << 20

_MODEL_PRODUCER = 2
_MODEL_PRODUCER_VERSION = 3
_MODEL_GRAPH = 7
_MODEL_OPSET = 8
_MODEL_METADATA = 14
_GRAPH_NODE = 1
_GRAPH_INITIALIZER = 5
_GRAPH_INPUT = 11
_GRAPH_OUTPUT = 12
_NODE_INPUT = 1
_NODE_OUTPUT = 2
_NODE_TYPE = 4
_TENSOR_NAME = 8
_TENSOR_LOCATION = 14
_LOCATION_EXTERNAL = 1
_KEY = 1
_VALUE = 2

_DTYPES: Mapping[int, DataType] = {
    1: DataType.FLOAT,
    2: DataType.UINT8,
    3: DataType.INT8,
    4: DataType.UINT16,
    5: DataType.INT16,
    6: DataType.INT32,
    7: DataType.INT64,
    8: DataType.STRING,
    9: DataType.BOOL,
    10: DataType.FLOAT16,
    11: DataType.DOUBLE,
    12: DataType.UINT32,
    13: DataType.UINT64,
    14: DataType.COMPLEX64,
    15: DataType.COMPLEX128,
    16: DataType.BF16,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxGraph:
    """What the file declares. A free axis is -1 in dims, an undeclared shape UNKNOWN_SHAPE.

    *last_operators* names, for each output, the operator that makes it. *has_external_data* tells
    that weights lie in files beside this one.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    last_operators: Mapping[str, str]
    metadata: Mapping[str, str]
    producer: str
    opset: int
    has_external_data: bool


def read_onnx(data: bytes) -> OnnxGraph:
    """Read an ONNX file; raises InvalidSettings where it is not one."""
    try:
        return _read(memoryview(data), Budget(_MAX_FIELDS))
    except OmError as exc:
        raise _not_onnx() from exc


def _read(data: memoryview, budget: Budget) -> OnnxGraph:
    graph: memoryview | None = None
    metadata: dict[str, str] = {}
    producer = ["", ""]
    opset = 0
    for number, _, value in fields(data, budget):
        if not isinstance(value, memoryview):
            continue
        if number == _MODEL_GRAPH:
            graph = value
        elif number == _MODEL_METADATA:
            key, text = (_text(value, field, budget) for field in (_KEY, _VALUE))
            metadata[key] = text
        elif number == _MODEL_OPSET and not _text(value, _KEY, budget):
            # The operator set without a domain is ONNX's own.
            opset = _number(value, _VALUE, budget)
        elif number in (_MODEL_PRODUCER, _MODEL_PRODUCER_VERSION):
            producer[number - _MODEL_PRODUCER] = as_text(value[:200])
    if graph is None:
        raise _not_onnx()
    initializers = list(submessages(graph, _GRAPH_INITIALIZER, budget))
    weights = {_text(each, _TENSOR_NAME, budget) for each in initializers}
    outputs = tuple(_values(graph, _GRAPH_OUTPUT, budget))
    if not outputs:
        raise _not_onnx()
    return OnnxGraph(
        # Files of the first versions list weights among the inputs too.
        inputs=tuple(t for t in _values(graph, _GRAPH_INPUT, budget) if t.name not in weights),
        outputs=outputs,
        last_operators=_last_operators(graph, outputs, budget),
        metadata=metadata,
        producer=" ".join(producer).strip(),
        opset=opset,
        has_external_data=any(
            _number(each, _TENSOR_LOCATION, budget) == _LOCATION_EXTERNAL for each in initializers
        ),
    )


def _values(graph: memoryview, number: int, budget: Budget) -> Iterator[TensorInfo]:
    """Give the graph's inputs or outputs: a name and a type, of which tensors are field 1."""
    for info in submessages(graph, number, budget):
        dtype, dims = DataType.UNDEFINED, UNKNOWN_SHAPE
        for kind in submessages(info, 2, budget):
            for tensor in submessages(kind, 1, budget):
                dtype = _DTYPES.get(_number(tensor, 1, budget), DataType.UNDEFINED)
                for shape in submessages(tensor, 2, budget):
                    dims = tuple(_dim(dim, budget) for dim in submessages(shape, 1, budget))
        yield TensorInfo(
            name=_text(info, 1, budget), dims=dims, dims_v2=dims, dtype=dtype, format=_layout(dims)
        )


def _dim(dim: memoryview, budget: Budget) -> int:
    """Give an axis's length; -1 where it has a name or nothing."""
    value = as_int64(_number(dim, 1, budget))
    return value if value > 0 else -1


def _layout(dims: tuple[int, ...]) -> Format:
    if len(dims) == 4 and dims[1] in (1, 3):
        return Format.NCHW
    if len(dims) == 4 and dims[3] in (1, 3, 4):
        return Format.NHWC
    return Format.ND


def _last_operators(
    graph: memoryview, outputs: tuple[TensorInfo, ...], budget: Budget
) -> dict[str, str]:
    """Name the operator behind each output, looking through Identity."""
    made_by: dict[str, tuple[str, str]] = {}
    for node in submessages(graph, _GRAPH_NODE, budget):
        operator, first_input = "", ""
        made: list[str] = []
        for number, _, value in fields(node, budget):
            if not isinstance(value, memoryview):
                continue
            if number == _NODE_OUTPUT:
                made.append(as_text(value[:1024]))
            elif number == _NODE_INPUT and not first_input:
                first_input = as_text(value[:1024])
            elif number == _NODE_TYPE:
                operator = as_text(value[:200])
        made_by.update((name, (operator, first_input)) for name in made)
    found: dict[str, str] = {}
    for output in outputs:
        name = output.name
        for _ in range(_MAX_NAMES_FOLLOWED):
            operator, source = made_by.get(name, ("", ""))
            if operator != "Identity":
                break
            name = source
        found[output.name] = operator
    return found


def _text(message: memoryview, number: int, budget: Budget) -> str:
    found = next(submessages(message, number, budget), None)
    return as_text(found[:_MAX_METADATA_BYTES]) if found is not None else ""


def _number(message: memoryview, number: int, budget: Budget) -> int:
    for found, _, value in fields(message, budget):
        if found == number and isinstance(value, int):
            return value
    return 0


def _not_onnx() -> InvalidSettings:
    return InvalidSettings("the file is not an ONNX model, or it is damaged: export it again")
