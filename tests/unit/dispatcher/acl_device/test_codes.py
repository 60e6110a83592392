"""Tests of dispatcher/acl_device/codes.py."""

from __future__ import annotations

import pytest

from dispatcher.acl_device.codes import CODES, Meaning, look_up

#: What has to happen next, for every code that is known from the field.
EXPECTED = {
    Meaning.DEVICE: (
        "100039 107001 107019 107020 107022 107023 207004 207005 207006 207007 207008 500004 "
        "507010 507014 507015 507017 507018 507033 507046 507047 507899 507900 507901 "
        "545601 545602"
    ),
    Meaning.MODEL: (
        "100003 100019 145000 145002 145006 145013 145015 145016 148049 148052 200000 200001 "
        "207000 207001 207018 500000 500001 500002 500003 500005 507008 507009 507011"
    ),
    Meaning.DEFECT: (
        "100000 100001 100002 100033 100034 100035 100036 100037 107000 107002 107003 107004 "
        "107008 107011 107012 107015 107017 145001 145003 145007 145009 145011 145012 145014 148051"
    ),
}


@pytest.mark.parametrize("meaning", list(Meaning))
def test_every_known_code_has_its_meaning(meaning: Meaning) -> None:
    """Exactly these codes cost the process, blame the model, or are a defect."""
    numbers = {int(word) for word in EXPECTED[meaning].split()}

    assert numbers == {code.number for code in CODES.values() if code.meaning is meaning}


def test_every_code_says_what_to_do() -> None:
    """Cause and fix are clauses that can be put into one sentence, and names are told apart."""
    for code in CODES.values():
        for clause in (code.cause, code.fix):
            assert clause
            assert clause.strip(" .") == clause
    assert len({code.name for code in CODES.values()}) == len(CODES)


@pytest.mark.parametrize(
    ("number", "meaning"),
    [
        (100999, Meaning.DEFECT),
        (107999, Meaning.DEFECT),
        (145999, Meaning.MODEL),
        (207999, Meaning.MODEL),
        (500999, Meaning.MODEL),
        (507999, Meaning.DEVICE),
        (-1, Meaning.MODEL),
    ],
)
def test_an_unknown_code_is_told_by_its_family(number: int, meaning: Meaning) -> None:
    """A code of a newer CANN still ends in a process that works."""
    code = look_up(number)

    assert (code.number, code.meaning) == (number, meaning)
    assert "error code pages" in code.fix
