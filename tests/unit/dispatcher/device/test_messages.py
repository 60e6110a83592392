"""Tests of dispatcher/device/messages.py."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.device.messages import (
    Blame,
    Done,
    Failed,
    FrameReader,
    Infer,
    Inferred,
    Load,
    OutputPlace,
    Reply,
    Request,
    encode,
)
from pipeline.errors import ContractBroken, GwError, InvalidSettings, ModelFault
from tests.builders_onnx import make_card

MESSAGES: list[Request | Reply] = [
    Done(),
    Load(key="tiny/1", card=make_card(), path=Path("/models/tiny/1/model.onnx")),
    Infer(
        key="tiny/1",
        offsets=(0, 64, 256),
        shape=(3, 4, 4),
        dtype="<f4",
        output_offset=1024,
        output_bytes=4096,
    ),
    Failed(blame=Blame.MODEL, reason="out of range"),
]


@given(cuts=st.lists(st.integers(0, 5000), max_size=20))
def test_messages_arrive_whole_however_the_stream_is_cut(cuts: list[int]) -> None:
    """Frames are put together again, in order and with their numbers, from any pieces."""
    stream = b"".join(encode(number, message) for number, message in enumerate(MESSAGES))
    bounds = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader = FrameReader()

    arrived = [frame for start, end in pairwise(bounds) for frame in reader.feed(stream[start:end])]

    assert arrived == list(enumerate(MESSAGES))


@pytest.mark.parametrize(
    ("blame", "error"),
    [
        (Blame.SETTINGS, InvalidSettings),
        (Blame.MODEL, ModelFault),
        (Blame.CONTRACT, ContractBroken),
    ],
)
def test_a_failure_becomes_the_error_of_who_is_to_blame(blame: Blame, error: type[GwError]) -> None:
    """Each blame has its error, with the reason as its message."""
    raised = Failed(blame=blame, reason="because").to_error()

    assert type(raised) is error
    assert str(raised) == "because"


def test_a_message_about_a_batch_stays_small() -> None:
    """A batch of 64 items with ten outputs is told in a few kB: tensors are never in a message."""
    request = Infer(
        key="m/1",
        offsets=tuple(range(0, 64 * 4_915_200, 4_915_200)),
        shape=(3, 640, 640),
        dtype="<f4",
        output_offset=0,
        output_bytes=1 << 26,
    )
    places = tuple(
        OutputPlace(name=f"output{n}", offset=n << 20, shape=(64, 84, 8400), dtype="<f4")
        for n in range(10)
    )
    answer = Inferred(outputs=places, used_bytes=1 << 26, device_ms=12.5)

    assert len(encode(1, request)) < 2000
    assert len(encode(1, answer)) < 2000
