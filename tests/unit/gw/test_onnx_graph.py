"""What is read out of an ONNX file, against the reference implementation's files."""

from __future__ import annotations

import pytest
from onnx import TensorProto

from gw.onnx_graph import UNKNOWN_SHAPE, read_onnx
from omfile.facts import DataType, Format
from pipeline.errors import InvalidSettings
from tests.unit.gw.models_on_disk import external_onnx_bytes, onnx_bytes


def test_inputs_and_outputs_are_read() -> None:
    """Names, types and shapes are the file's; an axis with a name is free."""
    graph = read_onnx(onnx_bytes(("n", 3, 8, 6), (1, 10), dtype=TensorProto.FLOAT16))

    (taken,) = graph.inputs
    assert (taken.name, taken.dims, taken.dtype) == ("x0", (-1, 3, 8, 6), DataType.FLOAT16)
    assert taken.format == Format.NCHW
    (given,) = graph.outputs
    assert (given.name, given.dims, given.dtype) == ("y", (1, 10), DataType.FLOAT)
    assert graph.opset == 17
    assert not graph.has_external_data


@pytest.mark.parametrize(
    ("number", "dtype"),
    [
        (TensorProto.UINT8, DataType.UINT8),
        (TensorProto.INT64, DataType.INT64),
        (TensorProto.DOUBLE, DataType.DOUBLE),
        (TensorProto.BFLOAT16, DataType.BF16),
        (TensorProto.FLOAT8E4M3FN, DataType.UNDEFINED),
    ],
)
def test_element_types_are_translated(number: int, dtype: DataType) -> None:
    """ONNX numbers types otherwise; those without a counterpart are undefined."""
    assert read_onnx(onnx_bytes((1,), (1,), dtype=number)).inputs[0].dtype == dtype


def test_a_shape_may_be_undeclared() -> None:
    """No shape at all is told from a shape without axes."""
    graph = read_onnx(onnx_bytes((1, 3, 8, 8), None))

    assert graph.outputs[0].dims == UNKNOWN_SHAPE
    assert read_onnx(onnx_bytes((1,), ())).outputs[0].dims == ()


def test_the_last_operator_is_seen_through_identity() -> None:
    """What makes an output is named, though a copy stands behind it."""
    assert read_onnx(onnx_bytes((1, 4), (1, 4), operator="Softmax")).last_operators == {
        "y": "Softmax"
    }


def test_weights_are_no_inputs_and_may_lie_elsewhere() -> None:
    """A weight that is listed as an input is left out; its place outside is noticed."""
    graph = read_onnx(external_onnx_bytes())

    assert [tensor.name for tensor in graph.inputs] == ["x"]
    assert graph.has_external_data


def test_metadata_is_read() -> None:
    """Entries that exporters leave are given as they are."""
    assert read_onnx(onnx_bytes((1,), (1,), metadata={"imgsz": "[320, 320]"})).metadata == {
        "imgsz": "[320, 320]"
    }


@pytest.mark.parametrize("data", [b"", b"hello", b"\x08\x0a", b"IMOD" + bytes(300), b"\x3a\x00"])
def test_other_files_are_refused(data: bytes) -> None:
    """What is not a model is refused in a sentence."""
    with pytest.raises(InvalidSettings, match="not an ONNX model"):
        read_onnx(data)


def test_damage_is_refused_or_harmless() -> None:
    """A file cut anywhere, or with any byte flipped, raises nothing but InvalidSettings."""
    data = onnx_bytes(("n", 3, 8, 6), (1, 10), metadata={"names": "{0: 'a'}"})
    refused = 0

    damaged = [data[:length] for length in range(len(data))]
    for position in range(len(data)):
        damaged.append(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
    for each in damaged:
        try:
            read_onnx(each)
        except InvalidSettings:
            refused += 1

    assert refused > len(data) / 2
