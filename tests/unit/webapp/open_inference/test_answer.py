"""Answers to infer requests."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ContractBroken
from pipeline.models.tensors import TensorFacts
from webapp.open_inference.answer import (
    InferAnswer,
    ItemAnswer,
    Output,
    infer_answer,
    joined,
    outputs_of,
)
from webapp.open_inference.request import RequestedOutput
from webapp.open_inference.values import unpack_texts
from webapp.refusals import InvalidField

SCORES = TensorFacts(name="scores", datatype="FP32", shape=(3,))
COUNT = TensorFacts(name="count", datatype="INT64", shape=())


def item(*scores: float, count: int = 1) -> ItemAnswer:
    """Give what a model gave for one item."""
    data = np.array(scores, np.float32).tobytes() + np.int64(count).tobytes()
    return ItemAnswer(outputs=(SCORES, COUNT), data=data)


def answered(*wanted: RequestedOutput, labels: tuple[str, ...] = ()) -> InferAnswer:
    """Give the answer to a batch of two."""
    outputs = joined([item(0.25, 0.5, -1), item(3, 2, 1, count=-7)])
    return infer_answer({"model_name": "m"}, outputs, wanted, labels=labels)


def head_of(answer: InferAnswer) -> Any:
    """Give the JSON of an answer."""
    return json.loads(answer.body[: answer.header_bytes])


def test_items_are_joined_along_the_batch_axis() -> None:
    """Each output for itself."""
    scores, count = joined([item(1, 2, 3), item(4, 5, 6, count=2)])
    assert scores.facts.shape == (2, 3)
    assert np.frombuffer(scores.data, np.float32).tolist() == [1, 2, 3, 4, 5, 6]
    assert (count.facts.shape, np.frombuffer(count.data, np.int64).tolist()) == ((2,), [1, 2])


def test_outputs_of_different_shapes_cannot_be_joined() -> None:
    """The caller can send them one by one."""
    longer = TensorFacts(name="scores", datatype="FP32", shape=(4,))
    other = ItemAnswer(outputs=(longer, COUNT), data=bytes(24))
    with pytest.raises(InvalidField, match="one at a time"):
        joined([item(1, 2, 3), other])


def test_a_file_of_another_length_is_our_own_fault() -> None:
    """Nothing of it is shown."""
    with pytest.raises(ContractBroken):
        joined([ItemAnswer(outputs=(SCORES,), data=bytes(11))])


def test_json_and_binary_may_be_mixed() -> None:
    """Binary ones follow the JSON in its order, and say how long they are."""
    answer = answered(
        RequestedOutput(name="count", is_binary=True),
        RequestedOutput(name="scores", is_binary=False),
    )

    count, scores = head_of(answer)["outputs"]
    assert count == {
        "name": "count",
        "datatype": "INT64",
        "shape": [2],
        "parameters": {"binary_data_size": 16},
    }
    assert scores["data"] == [0.25, 0.5, -1.0, 3.0, 2.0, 1.0]
    assert np.frombuffer(answer.body[answer.header_bytes :], np.int64).tolist() == [1, -7]


def test_an_answer_without_binary_is_json_alone() -> None:
    """It needs no header to say so."""
    answer = answered(RequestedOutput(name="count", is_binary=False))
    assert answer.header_bytes is None
    assert head_of(answer) == {
        "model_name": "m",
        "outputs": [{"name": "count", "datatype": "INT64", "shape": [2], "data": [1, -7]}],
    }


@pytest.mark.parametrize(
    ("labels", "best"),
    [
        ((), ["0.500000:1", "0.250000:0", "3.000000:0", "2.000000:1"]),
        (("a", "b", "猫"), ["0.500000:1:b", "0.250000:0:a", "3.000000:0:a", "2.000000:1:b"]),
        (("a",), ["0.500000:1", "0.250000:0", "3.000000:0", "2.000000:1"]),
    ],
)
def test_the_best_classes_of_each_item(labels: tuple[str, ...], best: list[str]) -> None:
    """As value, index, and the label where every value has one; as JSON and as binary."""
    as_json = RequestedOutput(name="scores", is_binary=False, classes=2)
    as_binary = RequestedOutput(name="scores", is_binary=True, classes=2)

    (told,) = head_of(answered(as_json, labels=labels))["outputs"]
    binary = answered(as_binary, labels=labels)

    assert told == {"name": "scores", "datatype": "BYTES", "shape": [2, 2], "data": best}
    texts = unpack_texts(binary.body[binary.header_bytes :])
    assert texts == [text.encode() for text in best]


def test_no_more_classes_than_there_are() -> None:
    """Of whole numbers too."""
    wanted = [RequestedOutput(name="n", is_binary=False, classes=9)]
    facts = TensorFacts(name="n", datatype="UINT8", shape=(1, 2))
    answer = infer_answer({"id": "a"}, [Output(facts=facts, data=b"\x01\x05")], wanted, labels=())
    (told,) = head_of(answer)["outputs"]
    assert (told["shape"], told["data"]) == ([1, 2], ["5:1", "1:0"])


def test_a_result_names_its_outputs() -> None:
    """As postprocess wrote it."""
    told = {"name": "scores", "datatype": "FP32", "shape": [3], "bytes": 12}
    assert outputs_of(json.dumps({"outputs": [told]})) == (SCORES,)


@pytest.mark.parametrize("result", ["", "{}", '{"outputs":[{}]}', '{"outputs":3}'])
def test_another_result_is_our_own_fault(result: str) -> None:
    """Whoever asked for raw outputs gets no other."""
    with pytest.raises(ContractBroken):
        outputs_of(result)
