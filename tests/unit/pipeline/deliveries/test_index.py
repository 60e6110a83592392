"""Places in time: which are asked for."""

from __future__ import annotations

import pytest

from pipeline.deliveries.delivery import place_of
from pipeline.deliveries.index import Times, id_at


def test_a_place_holds_its_id_and_sorts_by_time() -> None:
    """Whatever the ids are."""
    early, late = place_of(999, "msg_z"), place_of(1_000, "msg_a")

    assert early < late
    assert (id_at(early), id_at(late)) == ("msg_z", "msg_a")


@pytest.mark.parametrize(
    ("times", "upper", "lower", "is_empty"),
    [
        (Times(), "+", "-", False),
        (Times(from_unix_ms=5), "+", f"[{place_of(5)}", False),
        (Times(until_unix_ms=5), f"({place_of(5)}", "-", False),
        (Times(until_unix_ms=5, before=place_of(4, "m")), f"({place_of(4, 'm')}", "-", False),
        (Times(until_unix_ms=5, before=place_of(6, "m")), f"({place_of(5)}", "-", False),
        (Times(from_unix_ms=5, until_unix_ms=5), f"({place_of(5)}", f"[{place_of(5)}", True),
    ],
)
def test_an_interval_has_its_bounds(times: Times, upper: str, lower: str, is_empty: bool) -> None:
    """The first moment belongs to it and the last does not; a cursor narrows it."""
    assert (times.upper, times.lower, times.is_empty) == (upper, lower, is_empty)
