"""Whether a model fits a chip and a CANN."""

from __future__ import annotations

import pytest

from omfile.checks import check_cann, check_soc
from omfile.errors import TooNewForCann, WrongSoc
from omfile.reader import read_om
from tests.unit.omfile.recipes import make_om


@pytest.mark.parametrize(
    ("built_for", "device"),
    [
        ("Ascend310B4", "Ascend310B4"),
        ("Ascend310B4", "310B4"),
        ("Ascend310B4", " ascend310b4 "),
        ("Ascend310B4", "Ascend310B"),
        ("", "Ascend310B4"),
        ("Ascend310B4", ""),
    ],
)
def test_a_model_for_this_chip_fits(built_for: str, device: str) -> None:
    """Spelling, a family's name, and silence on either side are no reason to refuse."""
    check_soc(read_om(make_om(soc_version=built_for)), device)


@pytest.mark.parametrize(
    ("built_for", "device"),
    [
        ("Ascend310B1", "Ascend310B4"),
        ("Ascend310P3", "310B4"),
        ("Ascend310P3", "Ascend310B"),
        ("Ascend310B4", "Ascend310"),
    ],
)
def test_a_model_for_another_chip_is_refused(built_for: str, device: str) -> None:
    """The refusal names both chips and the option that helps."""
    with pytest.raises(WrongSoc, match=rf"built for {built_for}.*atc --soc_version=Ascend310"):
        check_soc(read_om(make_om(soc_version=built_for)), device)


IN_ORDER = ["7.0.RC1", "7.0.0", "8.0.RC2.alpha001", "8.0.RC2.beta1", "8.0.RC2", "8.0.0", "8.0.1"]


@pytest.mark.parametrize("older", range(len(IN_ORDER) - 1))
def test_releases_have_an_order(older: int) -> None:
    """Previews come before candidates, candidates before the release, the minor before the next."""
    old, new = IN_ORDER[older], IN_ORDER[older + 1]

    check_cann(read_om(make_om(atc_version=old)), new)
    check_cann(read_om(make_om(atc_version=new)), new.lower())
    with pytest.raises(TooNewForCann, match=rf"built by CANN {new}.*update CANN here"):
        check_cann(read_om(make_om(atc_version=new)), old)


def test_package_numbers_are_compared_with_their_like() -> None:
    """What the model carries in the same numbering is what counts."""
    om = read_om(make_om(atc_version="8.1.RC1", opp_version="6.4.T5.0.B121"))

    check_cann(om, "6.4.T5.0.B121")
    check_cann(om, "8.1.RC1")
    with pytest.raises(TooNewForCann, match=r"CANN 6\.4\.T5\.0\.B121 and this is 6\.4\.T5\.0\.B99"):
        check_cann(om, "6.4.T5.0.B99")


@pytest.mark.parametrize(
    ("built_by", "have"),
    [("", "8.0.0"), ("8.0.0", ""), ("V100R001C13", "8.0.0"), ("9.0.0", "6.4.T5.0.B1")],
)
def test_what_cannot_be_compared_is_left_to_the_runtime(built_by: str, have: str) -> None:
    """Silence, unknown spellings and different numberings refuse nothing."""
    check_cann(read_om(make_om(atc_version=built_by)), have)
