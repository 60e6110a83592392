"""Numbers, words and refusals of npu-smi."""

from __future__ import annotations

import pytest

from dispatcher.npu_smi.errors import DCMI_CODES
from dispatcher.npu_smi.words import number, refusal, whole


@pytest.mark.parametrize(
    ("text", "value"),
    [("9.2", 9.2), ("0", 0.0), ("-3", -3.0), ("NA", None), ("N/A", None), ("-", None), ("", None)],
)
def test_numbers_are_read_and_na_is_none(text: str, value: float | None) -> None:
    """What is not told is None."""
    assert number(text) == value


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "1_0", "٣", "9.2W", "0x10"])
def test_what_is_no_number_is_not_told(text: str) -> None:
    """No spelling of Python's slips through."""
    assert number(text) is None
    assert whole(text) is None


@pytest.mark.parametrize("code", sorted(DCMI_CODES))
def test_every_code_has_its_meaning(code: int) -> None:
    """The refusal's sentence tells it."""
    refused = refusal(["", f"ret is {code}"])

    assert refused is not None
    assert DCMI_CODES[code] in str(refused)


def test_what_refuses_nothing_is_no_refusal() -> None:
    """Facts are no refusal, and neither are other numbers."""
    assert refusal(["Health Status : OK", "Clock Speed(MHz) : -80"]) is None
