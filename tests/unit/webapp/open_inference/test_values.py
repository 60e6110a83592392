"""Values between JSON and bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.models.tensors import DATATYPES
from webapp.open_inference.values import json_values, pack, pack_texts, unpack_texts
from webapp.refusals import InvalidField


@given(data=st.data(), datatype=st.sampled_from(sorted(DATATYPES)))
def test_values_come_back_from_json(data: st.DataObject, datatype: str) -> None:
    """Of every datatype, bit by bit as numpy has them, flat or nested."""
    dtype = np.dtype(DATATYPES[datatype])
    elements = arrays.from_dtype(dtype, allow_nan=False, allow_infinity=False)
    values = data.draw(arrays.arrays(dtype, (2, 3), elements=elements))

    text = json_values(datatype, values.tobytes(), name="x")

    assert pack(datatype, json.loads(text), elements=6, name="x") == values.tobytes()
    assert pack(datatype, values.tolist(), elements=6, name="x") == values.tobytes()


def test_many_values_become_one_list() -> None:
    """Written in chunks, read as a whole."""
    values = np.arange(30_000, dtype=np.float32) / 7
    told = np.array(json.loads(json_values("FP32", values.tobytes(), name="x")), np.float32)
    assert np.array_equal(told, values)


@pytest.mark.parametrize(
    ("datatype", "data"),
    [
        ("FP32", 1.0),
        ("FP32", [1.0]),
        ("FP32", [1.0, 2.0, 3.0]),
        ("FP32", [[1.0], 2.0]),
        ("FP32", [1.0, [2.0]]),
        ("FP32", [1.0, None]),
        ("FP32", [1.0, "2"]),
        ("FP32", [1.0, 1e39]),
        ("FP16", [1.0, 1e6]),
        ("FP64", [1.0, {}]),
        ("UINT8", [1, 256]),
        ("UINT8", [1, -1]),
        ("INT32", [1, 1.5]),
        ("INT64", [1, 2**63]),
        ("BOOL", [True, 2]),
        ("BOOL", [True, "false"]),
    ],
)
def test_what_is_no_tensor_is_refused(datatype: str, data: Any) -> None:
    """With the name of the input."""
    with pytest.raises(InvalidField) as told:
        pack(datatype, data, elements=2, name="x")
    assert told.value.field == "x"


def test_lists_may_not_be_nested_for_ever() -> None:
    """No tensor has a hundred axes."""
    data: Any = 1.0
    for _ in range(100):
        data = [data]
    with pytest.raises(InvalidField, match="nested"):
        pack("FP32", data, elements=1, name="x")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_json_has_no_such_number(value: float) -> None:
    """Binary has: the refusal says so."""
    with pytest.raises(InvalidField, match="binary"):
        json_values("FP32", np.array([1, value], np.float32).tobytes(), name="y")


@given(st.lists(st.binary(max_size=20)))
def test_texts_come_back(texts: list[bytes]) -> None:
    """Each behind its length."""
    assert unpack_texts(pack_texts(texts)) == texts


@pytest.mark.parametrize("data", [b"\x01", b"\x02\x00\x00\x00a", b"\xff\xff\xff\xffabc"])
def test_lengths_that_do_not_add_up_are_told(data: bytes) -> None:
    """However large they are."""
    assert unpack_texts(data) is None
