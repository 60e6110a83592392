"""The part MODEL_DEF: a protocol-buffer message with the graph and the model's attributes.

Only what is asked for is read: attributes of the whole model, and of the graph's nodes those that
are inputs, outputs or the pixel unit. Newer compilers replace the names of *node* attributes with
short codes, so no fact is taken from one where another place tells it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from omfile.command_line import MAX_TEXT_BYTES
from omfile.errors import MalformedOm
from omfile.facts import DataType, Format, TensorInfo
from omfile.protobuf import (
    Budget,
    Field,
    as_int64,
    as_text,
    fields,
    packed_varints,
    submessages,
)

#: Graphs of large models have some ten thousand nodes of some hundred fields; those of a node
#: that is of no interest are not read.
_MAX_FIELDS = 1_000_000
_MAX_ATTRIBUTES = 4096
_MAX_TENSORS = 1024
_MAX_AXES = 128

# Field numbers of ModelDef, GraphDef, OpDef, TensorDescriptor, ShapeDef and AttrDef.
NAME = 1
MODEL_GRAPH = 7
MODEL_ATTR = 11
GRAPH_OP = 6
OP_TYPE = 2
OP_ATTR = 10
OP_INPUT_DESC = 33
OP_OUTPUT_DESC = 34
TENSOR_DTYPE = 2
TENSOR_SHAPE = 3
TENSOR_LAYOUT = 4
TENSOR_SIZE = 10
SHAPE_DIM = 1
ENTRY_KEY = 1
ENTRY_VALUE = 2
ATTR_TEXT = 2
ATTR_INT = 3
ATTR_FLOAT = 4
ATTR_BOOL = 5

#: The graph's element types are numbered otherwise than those of the API.
DTYPES: dict[int, DataType] = {
    1: DataType.FLOAT,
    2: DataType.FLOAT16,
    3: DataType.INT8,
    4: DataType.UINT8,
    5: DataType.INT16,
    6: DataType.UINT16,
    7: DataType.INT32,
    8: DataType.INT64,
    9: DataType.UINT32,
    10: DataType.UINT64,
    11: DataType.BOOL,
    12: DataType.DOUBLE,
    13: DataType.STRING,
    27: DataType.BF16,
}

INPUT_OP = "Data"
OUTPUT_OP = "NetOutput"
AIPP_OP = "Aipp"
_OPS_OF_INTEREST = (INPUT_OP, OUTPUT_OP, AIPP_OP)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDef:
    """What the part says. *attributes* holds those of the model that are a text or a number."""

    name: str = ""
    attributes: dict[str, str | int] = field(default_factory=dict)
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()
    has_aipp_op: bool = False

    def text(self, name: str) -> str:
        """Give a text attribute, empty where it is absent or not a text."""
        value = self.attributes.get(name, "")
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """Give a number attribute, 0 where it is absent, not a number or negative."""
        value = self.attributes.get(name, 0)
        return max(value, 0) if isinstance(value, int) else 0


def read_model_def(part: bytes) -> ModelDef:
    """Parse the part; raises MalformedOm. Of several graphs the first one counts."""
    budget = Budget(_MAX_FIELDS)
    name = ""
    attributes: dict[str, str | int] = {}
    graph: memoryview | None = None
    for number, _, value in fields(memoryview(part), budget):
        if not isinstance(value, memoryview):
            continue
        if number == NAME:
            name = _text(value)
        elif number == MODEL_GRAPH and graph is None:
            graph = value
        elif number == MODEL_ATTR and len(attributes) < _MAX_ATTRIBUTES:
            key, found = _attribute(value, budget)
            if found is not None:
                attributes[key] = found
    ends = _Ends()
    if graph is not None:
        for op in submessages(graph, GRAPH_OP, budget):
            ends.add(op, budget)
    return ModelDef(
        name=name,
        attributes=attributes,
        inputs=tuple(tensor for _, tensor in sorted(ends.inputs, key=lambda each: each[0])),
        outputs=tuple(ends.outputs),
        has_aipp_op=ends.has_aipp_op,
    )


class _Ends:
    """Gathers the ends of the graph: its inputs with their index, its outputs."""

    def __init__(self) -> None:
        self.inputs: list[tuple[int, TensorInfo]] = []
        self.outputs: list[TensorInfo] = []
        self.has_aipp_op = False

    def add(self, op: memoryview, budget: Budget) -> None:
        """Take in one node, if it is an end."""
        kind = _op_type(op, budget)
        if kind not in _OPS_OF_INTEREST:
            return
        self.has_aipp_op = self.has_aipp_op or kind == AIPP_OP
        if kind == INPUT_OP:
            self.inputs.append(_input(op, len(self.inputs), budget))
        elif kind == OUTPUT_OP:
            for desc in submessages(op, OP_INPUT_DESC, budget):
                self.outputs.append(_tensor(desc, budget))
        if max(len(self.inputs), len(self.outputs)) > _MAX_TENSORS:
            raise MalformedOm(
                f"the graph has more than {_MAX_TENSORS} inputs or outputs: "
                "the file is damaged, build it again with ATC"
            )


def _op_type(op: memoryview, budget: Budget) -> str:
    """Give a node's type, reading no further than that."""
    return next((_text(part) for part in submessages(op, OP_TYPE, budget)), "")


def _input(op: memoryview, position: int, budget: Budget) -> tuple[int, TensorInfo]:
    """Give an input's index and its tensor; the index is its position where none is readable."""
    name, index = "", position
    tensor: TensorInfo | None = None
    for number, _, value in fields(op, budget):
        if not isinstance(value, memoryview):
            continue
        if number == NAME:
            name = _text(value)
        elif number == OP_ATTR:
            key, found = _attribute(value, budget)
            index = found if key == "index" and isinstance(found, int) else index
        elif number == OP_OUTPUT_DESC and tensor is None:
            tensor = _tensor(value, budget)
    tensor = tensor or TensorInfo(name=name, dims=(), dtype=DataType.UNDEFINED)
    # The node's name is what the API calls the input; that of its tensor may be empty.
    return index, TensorInfo(
        name=name,
        dims=tensor.dims,
        dims_v2=tensor.dims_v2,
        dtype=tensor.dtype,
        format=tensor.format,
        size_bytes=tensor.size_bytes,
    )


def _tensor(desc: memoryview, budget: Budget) -> TensorInfo:
    name, layout, dtype, size_bytes = "", "", 0, 0
    dims: tuple[int, ...] = ()
    for number, _, value in fields(desc, budget):
        if isinstance(value, int):
            dtype = value if number == TENSOR_DTYPE else dtype
            size_bytes = max(as_int64(value), 0) if number == TENSOR_SIZE else size_bytes
        elif number == NAME:
            name = _text(value)
        elif number == TENSOR_SHAPE:
            dims = _dims(fields(value, budget), budget)
        elif number == TENSOR_LAYOUT:
            layout = _text(value)
    return TensorInfo(
        name=name,
        dims=dims,
        dims_v2=dims,
        dtype=DTYPES.get(dtype, DataType.UNDEFINED),
        format=Format.__members__.get(layout, Format.UNDEFINED),
        size_bytes=size_bytes,
    )


def _dims(shape: Iterator[Field], budget: Budget) -> tuple[int, ...]:
    dims: list[int] = []
    for number, _, value in shape:
        if number != SHAPE_DIM:
            continue
        for dim in packed_varints(value, budget):
            if len(dims) == _MAX_AXES:
                raise MalformedOm(
                    f"a tensor has more than {_MAX_AXES} axes: "
                    "the file is damaged, build it again with ATC"
                )
            dims.append(as_int64(dim))
    return tuple(dims)


def _attribute(entry: memoryview, budget: Budget) -> tuple[str, str | int | None]:
    """Read one entry of an attribute map; None for kinds that are of no interest."""
    key = ""
    found: str | int | None = None
    for number, _, value in fields(entry, budget):
        if number == ENTRY_KEY:
            key = as_text(value[:256]) if isinstance(value, memoryview) else ""
        elif number == ENTRY_VALUE and isinstance(value, memoryview):
            for kind, _, content in fields(value, budget):
                if kind == ATTR_TEXT and isinstance(content, memoryview):
                    found = _text(content)
                elif kind in (ATTR_INT, ATTR_BOOL) and isinstance(content, int):
                    found = as_int64(content)
    return key, found


def _text(value: memoryview) -> str:
    return as_text(value[:MAX_TEXT_BYTES])
