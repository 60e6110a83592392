"""How busy a device was."""

from __future__ import annotations

import pytest

from dispatcher.device.busy import BusyMeter


def meter(*calls: tuple[float, float, float | None]) -> BusyMeter:
    """Give a meter of 10 s that saw *calls*: began, ended, and what the device measured (ms)."""
    made = BusyMeter(window_s=10)
    for began_s, ended_s, device_ms in calls:
        made.began(began_s)
        made.ended(ended_s, device_ms=device_ms)
    return made


def test_an_idle_device_is_not_busy() -> None:
    """Nothing is made up."""
    assert BusyMeter(window_s=10).share(100.0) == 0.0


def test_what_the_device_measured_counts_and_not_how_late_it_was_read() -> None:
    """A batch of one second whose answer was read three seconds after its turn began is one."""
    assert meter((100, 103, 1000)).share(103) == pytest.approx(0.1)


def test_batches_that_lay_ready_are_not_shortened_by_late_reading() -> None:
    """The second ran while the first's answer lay unread: both count whole."""
    assert meter((100, 105, 2000), (105, 105.001, 2000)).share(105.001) == pytest.approx(0.4)


def test_a_call_without_a_measure_counts_for_its_turn() -> None:
    """A load, or a batch that never ended."""
    assert meter((100, 102, None)).share(102) == pytest.approx(0.2)


def test_a_call_that_runs_counts_so_far() -> None:
    """A device that hangs is busy, up to the whole window."""
    busy = BusyMeter(window_s=10)
    busy.began(100)

    assert busy.share(103) == pytest.approx(0.3)
    assert busy.share(200) == 1.0


def test_the_window_slides() -> None:
    """What ended before it is forgotten; what began before it counts for its part within."""
    busy = meter((100, 104, 4000))

    assert busy.share(104) == pytest.approx(0.4)
    assert busy.share(112) == pytest.approx(0.2)
    assert busy.share(114.001) == 0.0
