"""Tests of dispatcher/acl_device/errors.py."""

from __future__ import annotations

import pytest

from dispatcher.acl_device.codes import CODES, Meaning
from dispatcher.acl_device.errors import AclFailure
from dispatcher.device.errors import DeviceLost
from pipeline.errors import ContractBroken, GwError, InvalidSettings, ModelFault

ON_LOAD: dict[Meaning, type[GwError]] = {
    Meaning.DEVICE: DeviceLost,
    Meaning.MODEL: InvalidSettings,
    Meaning.DEFECT: ContractBroken,
}
ON_INFER = ON_LOAD | {Meaning.MODEL: ModelFault}


@pytest.mark.parametrize("number", sorted(CODES))
def test_every_code_becomes_an_error_of_ours(number: int) -> None:
    """While loading the file is to blame, in a run the items, unless the device is gone."""
    failure = AclFailure("acl.mdl.some_call", number)
    code = CODES[number]

    for error, kinds in ((failure.on_load(), ON_LOAD), (failure.on_infer(), ON_INFER)):
        assert type(error) is kinds[code.meaning]
        assert str(error) == (
            f"acl.mdl.some_call gave {number} {code.name}: {code.cause}; {code.fix}"
        )


def test_canns_own_text_is_one_bounded_line() -> None:
    """A stack trace over many lines is cut to the words that fit a job's reason."""
    failure = AclFailure("acl.rt.malloc", 207001, "EL0004:\n   Failed to allocate " + "x" * 1000)

    assert ' (CANN: "EL0004: Failed to allocate xx' in str(failure)
    assert "\n" not in str(failure)
    assert len(str(failure)) < 500


def test_the_longest_reason_fits_a_reply() -> None:
    """No code's sentence is cut where the device process bounds its reasons."""
    longest = max(
        len(str(AclFailure("acl.rt.synchronize_stream_with_timeout", number, "x" * 999)))
        for number in CODES
    )

    assert longest <= 500
