"""Infer requests, taken apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipeline.errors import InvalidRequest
from pipeline.jobs.job import Priority
from webapp.open_inference.request import InferRequest, RequestedOutput, parse_infer_request

TENSOR: dict[str, Any] = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.5, 2.0]}
JSON_MAX = 10_000


def parse(document: Any, binary: bytes | None = None) -> InferRequest:
    """Parse a request with what follows its JSON."""
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    header = None if binary is None else len(text)
    return parse_infer_request(text + (binary or b""), header_bytes=header, json_max=JSON_MAX)


def test_a_json_request_is_read_whole() -> None:
    """Its id, its parameters, its one input, and which outputs are wanted how."""
    request = parse(
        {
            "id": "abc",
            "parameters": {"priority": 1, "timeout": 2_500_000, "binary_data_output": True},
            "inputs": [TENSOR],
            "outputs": [
                {"name": "y"},
                {"name": "z", "parameters": {"binary_data": False, "classification": 3}},
            ],
        }
    )

    assert request.tensor is not None
    assert (request.tensor.shape, request.tensor.values) == ((1, 2), [1.5, 2.0])
    assert request.outputs == (
        RequestedOutput(name="y", is_binary=True),
        RequestedOutput(name="z", is_binary=False, classes=3),
    )
    assert (request.request_id, request.priority) == ("abc", Priority.HIGH)
    assert (request.timeout_s, request.keeps_outputs) == (2.5, False)


@pytest.mark.parametrize(
    ("number", "priority"),
    [(0, "normal"), (1, "high"), (2, "normal"), (3, "low"), (77, "low"), ("1", "high")],
)
def test_priorities_are_counted_from_the_most_urgent(number: Any, priority: str) -> None:
    """0 is the default, and there are three."""
    assert parse({"inputs": [TENSOR], "parameters": {"priority": number}}).priority == priority


def test_binary_data_follows_the_json() -> None:
    """As many bytes as are announced."""
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32"}
    request = parse({"inputs": [{**tensor, "parameters": {"binary_data_size": 8}}]}, b"01234567")
    assert request.tensor is not None
    assert request.tensor.binary == b"01234567"


@pytest.mark.parametrize("size", [3, 7, None])
def test_the_announced_size_of_pictures_is_not_believed(size: int | None) -> None:
    """Some clients count the lengths before the pictures, and some do not."""
    parameters = {} if size is None else {"binary_data_size": size}
    tensor = {"name": "x", "shape": [1], "datatype": "BYTES", "parameters": parameters}
    request = parse({"inputs": [tensor]}, b"\x03\0\0\0abc")
    assert request.tensor is not None
    assert request.tensor.binary == b"\x03\0\0\0abc"


def test_the_raw_form_has_no_json() -> None:
    """The whole body is the input, and the answer is binary."""
    request = parse_infer_request(b"bytes", header_bytes=0, json_max=JSON_MAX)
    assert (request.raw, request.tensor, request.is_binary) == (b"bytes", None, True)


def _with(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{**TENSOR, **changes}]}


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "must be an object"),
        (b'{"inputs": [NaN]}', "not valid JSON"),
        ({}, "Unable to parse 'inputs'"),
        ({"inputs": {}}, "Unable to parse 'inputs'"),
        ({"inputs": []}, "expected 1 input but got 0"),
        ({"inputs": [TENSOR, TENSOR]}, "expected 1 input but got 2"),
        ({"inputs": ["x"]}, "must be an object"),
        (_with(name=1), "'name'"),
        (_with(datatype=None), "'datatype'"),
        (_with(datatype="FP31"), "unknown data-type"),
        (_with(shape=None), "'shape'"),
        (_with(shape=[]), "'shape'"),
        (_with(shape=[1, -1]), "'shape'"),
        (_with(shape=[1, 0]), "'shape'"),
        (_with(shape=[1, 2.0]), "'shape'"),
        (_with(shape=[1, True]), "'shape'"),
        (_with(shape=[1] * 17), "'shape'"),
        (_with(shape=[2**31]), "'shape'"),
        (_with(parameters=[]), "'parameters'"),
        (_with(parameters={"binary_data_size": 8}), "as JSON and as binary"),
        (_with(parameters={"shared_memory_region": "r"}), "shared memory"),
        ({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}, "neither"),
        ({"inputs": [TENSOR], "id": 5}, "'id'"),
        ({"inputs": [TENSOR], "outputs": {}}, "'outputs'"),
        ({"inputs": [TENSOR], "outputs": [{}]}, "'name'"),
        ({"inputs": [TENSOR], "outputs": [{"name": "y"}, {"name": "y"}]}, "twice"),
        (
            {"inputs": [TENSOR], "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]},
            "binary_data",
        ),
        (
            {"inputs": [TENSOR], "outputs": [{"name": "y", "parameters": {"classification": -1}}]},
            "classification",
        ),
        ({"inputs": [TENSOR], "parameters": {"priority": -1}}, "priority"),
        ({"inputs": [TENSOR], "parameters": {"timeout": 1.5}}, "timeout"),
        ({"inputs": [TENSOR], "parameters": {"timeout": "soon"}}, "timeout"),
        ({"inputs": [TENSOR], "parameters": {"sequence_id": 7}}, "keeps a state"),
        ({"inputs": [TENSOR], "parameters": {"keep_outputs": "yes"}}, "keep_outputs"),
        (b" " * (JSON_MAX + 1), "send tensors as binary"),
        (b"[" * JSON_MAX, "not valid JSON"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(document: Any, wrong: str) -> None:
    """In one sentence."""
    with pytest.raises(InvalidRequest, match=wrong):
        parse(document)


@pytest.mark.parametrize("size", [7, 9, "8", True, 2**70])
def test_another_size_than_announced_is_refused(size: Any) -> None:
    """Of tensors, whose size is known."""
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32"}
    with pytest.raises(InvalidRequest):
        parse({"inputs": [{**tensor, "parameters": {"binary_data_size": size}}]}, b"01234567")


def test_a_json_longer_than_the_body_is_refused() -> None:
    """The header does not know the body better than the body."""
    with pytest.raises(InvalidRequest, match="Inference-Header-Content-Length"):
        parse_infer_request(b"{}", header_bytes=3, json_max=JSON_MAX)
