"""When sweeps are due."""

from __future__ import annotations

from operations.schedule import INTERVALS_S, due_sweeps
from operations.sweeps import SWEEPS


def test_a_sweep_has_one_name_in_its_slot() -> None:
    """Whoever asks within the slot asks for the same, and the next slot's is another."""
    interval_s = INTERVALS_S["batches"]
    begin_s = 1000 * interval_s

    ids = {each.operation_id for s in (0, 1, interval_s - 1) for each in due_sweeps(begin_s + s)}
    later = {each.operation_id for each in due_sweeps(begin_s + interval_s)}

    assert f"sweep-batches-{begin_s // interval_s}" in ids
    assert f"sweep-batches-{begin_s // interval_s}" not in later


def test_every_sweep_is_scheduled() -> None:
    """What can be swept is, and nothing else is asked for."""
    assert set(SWEEPS) == set(INTERVALS_S)
