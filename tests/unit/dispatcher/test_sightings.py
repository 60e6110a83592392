"""Counting how often an entry comes."""

from __future__ import annotations

from dispatcher.sightings import SIGHTINGS_MAX, Sightings
from pipeline.streams import Entry


def entry(number: int) -> Entry:
    """Give an entry."""
    return Entry(stream="s", entry_id=f"{number}-0", fields={})


def test_an_entry_is_put_aside_after_some_times() -> None:
    """Each entry by itself, and from the beginning once it was put aside."""
    sightings = Sightings()

    told = [sightings.are_enough(entry(1)) for _ in range(SIGHTINGS_MAX)]

    assert told == [False] * (SIGHTINGS_MAX - 1) + [True]
    assert not sightings.are_enough(entry(2))
    assert not sightings.are_enough(entry(1))


def test_what_comes_once_is_forgotten() -> None:
    """Entries without end leave no trace, and the last ones are remembered."""
    sightings = Sightings()
    for _ in range(SIGHTINGS_MAX - 1):
        sightings.are_enough(entry(0))

    for number in range(1, 10_000):
        sightings.are_enough(entry(number))
    assert sightings.are_enough(entry(0))

    for number in range(20_000):
        assert not sightings.are_enough(entry(number))
    assert len(sightings._counts) <= 10_000
