"""Tests of dispatcher/device/state.py."""

from __future__ import annotations

from dispatcher.device.state import restart_delay_s


def test_two_losses_are_restarted_at_once() -> None:
    """Finding one culprit costs two losses, and neither waits."""
    assert restart_delay_s(1) == restart_delay_s(2) == 0.0


def test_further_losses_wait_longer_up_to_a_bound() -> None:
    """From the third on the delay grows, and never past five seconds."""
    delays = [restart_delay_s(losses) for losses in range(3, 100)]

    assert delays == sorted(delays)
    assert delays[0] == 0.25
    assert delays[-1] == 5.0
