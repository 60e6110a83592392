"""Requests compared with their model."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pipeline.models.entry import ModelEntry, VersionEntry, VersionState
from pipeline.models.tensors import TensorFacts
from webapp.open_inference.fitting import ModelTensors, items_of, tensors_of, wanted_outputs
from webapp.open_inference.request import InferInput, InferRequest, RequestedOutput
from webapp.refusals import InvalidField, ModelNotReady

JPEG, PNG = b"\xff\xd8\xff\xe0...", b"\x89PNG\r\n\x1a\n..."
ITEM = TensorFacts(name="x", datatype="INT16", shape=(2, 3))


def model(*shape: int) -> ModelTensors:
    """Give a model of INT16 with an input of *shape* behind the batch axis."""
    return ModelTensors(
        model="m",
        version="1",
        input=TensorFacts(name="x", datatype="INT16", shape=(-1, *shape)),
        outputs=(
            TensorFacts(name="y", datatype="FP32", shape=(-1, 2)),
            TensorFacts(name="z", datatype="FP32", shape=(-1, 2)),
        ),
    )


def asked(**changes: Any) -> InferRequest:
    """Give a request for two items of [2, 3], as binary."""
    defaults: dict[str, Any] = {
        "name": "x",
        "datatype": "INT16",
        "shape": (2, 2, 3),
        "binary": bytes(range(24)),
    }
    return InferRequest(tensor=InferInput(**(defaults | changes)))


def test_a_batch_is_split_into_its_items() -> None:
    """Each with the shape that is left without the batch axis."""
    items = items_of(asked(), model(2, 3), items_max=2)
    assert items.data == [bytes(range(12)), bytes(range(12, 24))]
    assert items.tensor == ITEM


def test_json_and_binary_give_the_same_items() -> None:
    """Little-endian, row-major."""
    values = list(struct.unpack("<12h", bytes(range(24))))
    from_json = items_of(asked(binary=None, values=values), model(2, 3), items_max=2)
    assert from_json == items_of(asked(), model(2, 3), items_max=2)


def framed(*pictures: bytes) -> bytes:
    """Give pictures, each behind its length."""
    return b"".join(struct.pack("<I", len(each)) + each for each in pictures)


@pytest.mark.parametrize("shape", [(2,), (2, 1), (1, 2)])
def test_pictures_come_as_bytes(shape: tuple[int, ...]) -> None:
    """Each behind its length, whatever the model's own shape is."""
    request = asked(datatype="BYTES", shape=shape, binary=framed(JPEG, PNG))
    items = items_of(request, model(2, 3), items_max=2)
    assert (items.data, items.tensor) == ([JPEG, PNG], None)


@pytest.mark.parametrize("picture", [JPEG, PNG])
@pytest.mark.parametrize("is_framed", [True, False])
def test_one_picture_may_come_without_its_length(picture: bytes, *, is_framed: bool) -> None:
    """No length begins as a picture does."""
    data = framed(picture) if is_framed else picture
    request = asked(datatype="BYTES", shape=(1,), binary=data)
    assert items_of(request, model(2, 3), items_max=1).data == [picture]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"name": "w"}, "unexpected inference input 'w' for model 'm'"),
        ({"datatype": "FP32"}, "data-type is 'FP32', but model 'm' expects 'INT16'"),
        ({"shape": (2, 3, 2)}, "unexpected shape"),
        ({"shape": (12,)}, "unexpected shape"),
        ({"shape": (3, 2, 3)}, "at most|may have 2"),
        ({"shape": (1, 2, 3)}, "has 24 bytes"),
        ({"binary": b""}, "has 0 bytes"),
        ({"datatype": "BYTES", "shape": (2,), "binary": framed(JPEG)}, "must be 2 pictures"),
        ({"datatype": "BYTES", "shape": (1,), "binary": b"\x09\0\0\0a"}, "must be 1 pictures"),
        ({"datatype": "BYTES", "shape": (3,), "binary": framed(JPEG)}, "may have 2"),
        ({"datatype": "BYTES", "binary": None, "values": ["a"]}, "as binary data"),
    ],
)
def test_what_does_not_fit_is_told(changes: dict[str, Any], wrong: str) -> None:
    """In Triton's words where it has them."""
    with pytest.raises(InvalidField, match=wrong):
        items_of(asked(**changes), model(2, 3), items_max=2)


@pytest.mark.parametrize(
    ("shape", "size_bytes", "completed"),
    [((2, 3), 12, (2, 3)), ((2, -1), 20, (2, 5)), ((-1,), 2, (1,)), ((), 2, ())],
)
def test_a_raw_body_is_one_item(
    shape: tuple[int, ...], size_bytes: int, completed: tuple[int, ...]
) -> None:
    """One free dimension follows from the size."""
    items = items_of(InferRequest(raw=bytes(size_bytes)), model(*shape), items_max=1)
    assert items.tensor == TensorFacts(name="x", datatype="INT16", shape=completed)
    assert items.data == [bytes(size_bytes)]


@pytest.mark.parametrize(
    ("shape", "size_bytes"), [((2, 3), 24), ((2, 3), 11), ((2, 3), 0), ((2, -1), 6), ((-1, -1), 8)]
)
def test_a_raw_body_of_another_size_is_refused(shape: tuple[int, ...], size_bytes: int) -> None:
    """Or one whose shape nobody could tell."""
    with pytest.raises(InvalidField, match="the body has"):
        items_of(InferRequest(raw=bytes(size_bytes)), model(*shape), items_max=1)


def test_all_outputs_come_back_unless_some_are_asked_for() -> None:
    """In the model's order, or in the caller's."""
    only_z = (RequestedOutput(name="z", is_binary=True),)
    assert [each.name for each in wanted_outputs(InferRequest(), model(2))] == ["y", "z"]
    assert wanted_outputs(InferRequest(outputs=only_z), model(2)) == only_z


def test_an_unknown_output_is_told() -> None:
    """With those that there are."""
    request = InferRequest(outputs=(RequestedOutput(name="nope", is_binary=True),))
    with pytest.raises(InvalidField, match="unexpected inference output 'nope'") as told:
        wanted_outputs(request, model(2))
    assert told.value.allowed == ("y", "z")


def test_a_model_whose_inputs_nobody_has_told_is_not_ready() -> None:
    """An older dispatcher publishes none."""
    entry = ModelEntry(
        name="m",
        versions=("1",),
        details=(VersionEntry(version="1", state=VersionState.LOADED),),
    )
    with pytest.raises(ModelNotReady):
        tensors_of(entry, "1")
