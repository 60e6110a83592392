"""Self-tests are read with limits and compared with tolerance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dispatcher.models.self_test import SelfTestCase, differs, read_self_test, write_self_test
from pipeline.errors import InvalidSettings

EXPECTED = {"kind": "classes", "items": [[3, 0.5]]}


def write(folder: Path, document: Any) -> None:
    """Write a self-test with the picture a.png."""
    (folder / "selftest").mkdir(parents=True, exist_ok=True)
    (folder / "selftest" / "a.png").write_bytes(b"picture")
    (folder / "selftest" / "expected.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("got", "difference"),
    [
        ({"kind": "classes", "items": [[3, 0.51]]}, None),
        ({"kind": "classes", "items": [[3, 0.6]]}, "items[0][1] is 0.6 instead of 0.5"),
        ({"kind": "classes", "items": [[4, 0.5]]}, "items[0][0] is 4 instead of 3"),
        ({"kind": "classes", "items": []}, "items has 0 entries instead of 1"),
        ({"kind": "tensors", "items": [[3, 0.5]]}, "kind is 'tensors' instead of 'classes'"),
        ({"items": []}, "it has ['items'] instead of ['items', 'kind']"),
    ],
)
def test_the_first_difference_is_told(got: Any, difference: str | None) -> None:
    """Where it is, what was found and what was expected; small ones pass."""
    expected = {"kind": "classes", "items": EXPECTED["items"]}
    assert differs(expected, got, tolerance=0.02) == difference


def test_tolerance_is_absolute_or_in_proportion() -> None:
    """Whichever is more: a score may be off by 0.02, a coordinate by two percent."""
    assert differs(0.0, 0.02, tolerance=0.02) is None
    assert differs(1000.0, 1019.0, tolerance=0.02) is None
    assert differs(1000.0, 1030.0, tolerance=0.02) is not None


def test_a_versions_own_test_counts_before_the_models(tmp_path: Path) -> None:
    """Each version may have its own; the others share the model's."""
    write(tmp_path, {"cases": [{"picture": "a.png", "expected": EXPECTED}]})
    write(tmp_path / "2", {"cases": [{"picture": "a.png", "expected": EXPECTED, "tolerance": 0.5}]})
    one, two = read_self_test(tmp_path, 1), read_self_test(tmp_path, 2)
    assert one is not None
    assert two is not None
    assert (one.cases[0].tolerance, two.cases[0].tolerance) == (0.02, 0.5)
    assert one.sha256 != two.sha256
    assert read_self_test(tmp_path / "elsewhere", 1) is None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """The command's file is the dispatcher's."""
    write(tmp_path, {})
    case = SelfTestCase(name="a.png", picture=b"picture", expected=EXPECTED, tolerance=0.1)
    write_self_test(tmp_path / "selftest", [case])
    test = read_self_test(tmp_path, 1)
    assert test is not None
    assert test.cases == (case,)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"cases": []},
        {"cases": [{"picture": "a.png"}]},
        {"cases": [{"picture": "../a.png", "expected": EXPECTED}]},
        {"cases": [{"picture": "absent.png", "expected": EXPECTED}]},
        {"cases": [{"picture": "a.png", "expected": EXPECTED, "tolerance": 2}]},
        {"cases": [{"picture": "a.png", "expected": {"kind": "nonsense", "items": []}}]},
    ],
)
def test_a_test_that_cannot_be_used_is_refused(tmp_path: Path, document: Any) -> None:
    """It is named: a version is not let through because its test is broken."""
    write(tmp_path, document)
    with pytest.raises(InvalidSettings, match=r"expected\.json cannot be used"):
        read_self_test(tmp_path, 1)
