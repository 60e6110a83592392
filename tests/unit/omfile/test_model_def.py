"""The graph and the model's attributes, against a message written by hand."""

from __future__ import annotations

import pytest

from omfile.errors import MalformedOm
from omfile.facts import DataType, Format
from omfile.model_def import read_model_def
from omfile.protobuf import encode_bytes, encode_varint


def message(*fields: tuple[int, int | bytes | str]) -> bytes:
    """Write fields in order."""
    return b"".join(
        encode_varint(number, value) if isinstance(value, int) else encode_bytes(number, value)
        for number, value in fields
    )


def attribute(number: int, key: str, *content: tuple[int, int | bytes | str]) -> bytes:
    """Write one entry of an attribute map."""
    return message((number, message((1, key), (2, message(*content)))))


def desc(dtype: int, dims: bytes, layout: str = "NCHW", size_bytes: int = 64) -> bytes:
    """Write a tensor descriptor whose dims are packed."""
    return message((2, dtype), (3, message((1, dims))), (4, layout), (10, size_bytes))


def data(name: str, index: int, descriptor: bytes) -> bytes:
    """Write an input node."""
    op = message((1, name), (2, "Data")) + attribute(10, "index", (3, index))
    return message((6, op + message((34, descriptor))))


def model(*ops: bytes) -> bytes:
    """Write a model around the nodes of its graph."""
    return message((1, "byhand"), (7, message((1, "graph")) + b"".join(ops)))


def test_attributes_of_the_model_are_texts_and_numbers() -> None:
    """Texts, integers and truths are kept; lists and floats are passed over."""
    part = model() + attribute(11, "soc_version", (2, "Ascend310B1"))
    part += attribute(11, "memory_size", (3, 4096)) + attribute(11, "flag", (5, 1))
    part += attribute(11, "om_info_list", (1, b"\x18\x01"))

    found = read_model_def(part)

    assert found.name == "byhand"
    assert found.attributes == {"soc_version": "Ascend310B1", "memory_size": 4096, "flag": 1}
    assert (found.text("soc_version"), found.text("memory_size")) == ("Ascend310B1", "")
    assert (found.number("memory_size"), found.number("soc_version")) == (4096, 0)


def test_a_negative_size_counts_as_unknown() -> None:
    """A size below zero is one that is not known."""
    assert read_model_def(attribute(11, "memory_size", (3, -1))).number("memory_size") == 0


def test_inputs_stand_in_the_order_of_their_index() -> None:
    """The graph may list nodes in any order."""
    part = model(
        data("second", 1, desc(7, b"\x01\x02")),
        data("first", 0, desc(2, b"\x01\x03", layout="NHWC", size_bytes=6)),
    )

    first, second = read_model_def(part).inputs

    assert (first.name, first.dims, first.size_bytes) == ("first", (1, 3), 6)
    assert (first.dtype, first.format) == (DataType.FLOAT16, Format.NHWC)
    assert (second.name, second.dtype, second.format) == ("second", DataType.INT32, Format.NCHW)


def test_an_index_under_a_code_leaves_the_nodes_in_order() -> None:
    """Where attribute names are codes, inputs keep the order of the graph."""
    nodes = [
        message((6, message((1, name), (2, "Data")) + attribute(10, "\x01", (3, 9))))
        for name in ("a", "b")
    ]

    assert [tensor.name for tensor in read_model_def(model(*nodes)).inputs] == ["a", "b"]


def test_outputs_are_the_inputs_of_the_last_node() -> None:
    """NetOutput takes what the model gives; a free axis is -1."""
    free = b"\xff" * 9 + b"\x01"
    last = message((2, "NetOutput"), (33, desc(1, free + b"\x0a")), (33, desc(99, b"", "?", 0)))

    first, second = read_model_def(model(message((6, last)))).outputs

    assert first.dims == (-1, 10)
    assert (second.dims, second.dtype, second.format) == ((), -1, -1)


def test_only_the_first_graph_counts() -> None:
    """Further graphs are subgraphs of the first."""
    part = model(data("root", 0, desc(1, b"\x01"))) + message(
        (7, data("inner", 0, desc(1, b"\x01")))
    )

    assert [tensor.name for tensor in read_model_def(part).inputs] == ["root"]


def test_the_pixel_unit_is_a_node() -> None:
    """A node of type Aipp shows that pixels are converted on the chip."""
    assert read_model_def(model(message((6, message((2, "Aipp")))))).has_aipp_op
    assert not read_model_def(model(message((6, message((2, "Conv2D")))))).has_aipp_op


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (model(data("x", 0, desc(1, b"\x01" * 129))), "more than 128 axes"),
        (model(*[data("x", 0, b"")] * 1025), "more than 1024 inputs"),
        (model(b"\x32\x00" * 1_000_001), "more fields than any model"),
    ],
)
def test_limits_are_kept(part: bytes, said: str) -> None:
    """A message that is built to be large is refused, and soon."""
    with pytest.raises(MalformedOm, match=said):
        read_model_def(part)
