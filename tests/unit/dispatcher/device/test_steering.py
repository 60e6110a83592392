"""How much a device may work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.device.steering import (
    Signs,
    Steering,
    SteeringLimits,
    probe_delay_s,
    rest_ms,
    steer,
)
from dispatcher.npu_smi.facts import NpuHealth

LIMITS = SteeringLimits(
    warm_c=80, hot_c=100, margin_c=5, alarm_duty=0.5, restarts_max=3, restarts_window_s=600
)


def after(*temperatures_c: float | None, limits: SteeringLimits = LIMITS) -> Steering:
    """Steer through a course of temperatures."""
    steering = Steering()
    for temperature_c in temperatures_c:
        steering = steer(steering, Signs(temperature_c=temperature_c), limits)
    return steering


@pytest.mark.parametrize(
    ("temperature_c", "duty"), [(20, 1.0), (80, 1.0), (90, 0.625), (99.9, 0.25), (None, 1.0)]
)
def test_heat_takes_duty_in_proportion(temperature_c: float | None, duty: float) -> None:
    """From warm to hot it falls evenly to a quarter; without a reading it is whole."""
    assert after(temperature_c).duty == pytest.approx(duty, abs=0.01)


def test_too_hot_is_out_until_it_has_cooled_by_the_margin() -> None:
    """At the threshold it goes out; a degree less does not bring it back, the margin does."""
    assert "100 degrees" in after(100).out
    assert after(100, 99).out
    assert after(100, 95).out
    assert not after(100, 94.9).out
    assert after(100, 94.9).duty < 0.5


def test_what_heat_took_comes_back_only_with_the_margin() -> None:
    """Readings that swing by less than the margin do not swing the duty."""
    assert after(90, 89, 90, 86, 90).duty == after(90).duty
    assert after(90, 84).duty == pytest.approx(after(89).duty)
    assert after(90, 70).duty == 1.0


def test_a_reading_that_stops_leaves_the_last_one() -> None:
    """Blind, a warm device stays slowed."""
    assert after(90, None).duty == after(90).duty


def test_heat_can_be_ignored() -> None:
    """With a warm threshold of 0 no temperature matters."""
    steering = after(150, limits=SteeringLimits(warm_c=0))

    assert (steering.duty, steering.out) == (1.0, "")


@pytest.mark.parametrize(
    ("health", "duty", "is_out", "remark"),
    [
        (NpuHealth.OK, 1.0, False, ""),
        (None, 1.0, False, ""),
        (NpuHealth.WARNING, 1.0, False, "npu-smi says Warning"),
        (NpuHealth.ALARM, 0.5, False, "npu-smi says Alarm"),
        (NpuHealth.CRITICAL, 0.0, True, ""),
        (NpuHealth.UNKNOWN, 0.0, True, ""),
    ],
)
def test_health_steers(health: NpuHealth | None, duty: float, is_out: bool, remark: str) -> None:
    """Alarm is degraded, not dead; Critical and UNKNOWN are out."""
    steering = steer(Steering(), Signs(health=health), LIMITS)

    assert (steering.duty, bool(steering.out), steering.remark) == (duty, is_out, remark)


def test_restarts_past_the_bound_take_it_out() -> None:
    """The bound itself does, and the reason has the count."""
    assert not steer(Steering(), Signs(restarts=2), LIMITS).out
    assert "3 times within 10 min" in steer(Steering(), Signs(restarts=3), LIMITS).out


def test_its_own_fault_takes_it_out() -> None:
    """What the device says of itself is the reason."""
    assert steer(Steering(), Signs(fault="it hangs"), LIMITS).out == "it hangs"


signs = st.builds(
    Signs,
    health=st.one_of(st.none(), st.sampled_from(NpuHealth)),
    temperature_c=st.one_of(st.none(), st.floats(-40, 200)),
    restarts=st.integers(0, 5),
    fault=st.sampled_from(["", "broken"]),
)


@given(st.lists(signs, max_size=20))
def test_duty_is_a_share_and_zero_exactly_when_out(course: list[Signs]) -> None:
    """Whatever is seen: between a quarter and all of its time, or out with a reason."""
    steering = Steering()
    for each in course:
        steering = steer(steering, each, LIMITS)
        assert (steering.duty == 0.0) is bool(steering.out)
        assert steering.out or 0.25 <= steering.duty <= 1.0


@given(st.lists(st.floats(0, 120), min_size=1, max_size=20))
def test_hotter_never_means_more(course: list[float]) -> None:
    """After the same course, a hotter last reading gives no more duty."""
    before = after(*course)
    cooler = steer(before, Signs(temperature_c=70), LIMITS)
    hotter = steer(before, Signs(temperature_c=85), LIMITS)

    assert hotter.duty <= cooler.duty


def test_probes_back_off() -> None:
    """Each failure doubles the wait, up to five minutes."""
    delays = [probe_delay_s(failures) for failures in range(9)]

    assert delays[:3] == [5.0, 10.0, 20.0]
    assert delays == sorted(delays)
    assert probe_delay_s(1000) == 300.0


@pytest.mark.parametrize("duty", [0.25, 0.5, 0.8, 1.0])
def test_a_rest_makes_work_the_duty(duty: float) -> None:
    """Work of 30 ms with its rest is the share that is allowed."""
    assert 30 / (30 + rest_ms(duty, 30)) == pytest.approx(duty)
