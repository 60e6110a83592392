"""How much a device may work, by its heat, its health and its failures: decided here, purely.

Heat takes duty away between two thresholds, in proportion; it is given back only once the device is
cooler by a margin, so that the rate does not swing with every reading. Alarm is degraded, not dead:
boards are known that always show it and infer well. Critical, UNKNOWN, too much heat or too many
restarts take the device out.
"""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher.npu_smi.facts import NpuHealth

#: The duty at the edge of being taken out for heat.
_LEAST_DUTY = 0.25

#: A device that is out is probed after so long, then after twice as long, up to the last.
_FIRST_PROBE_S = 5.0
_LAST_PROBE_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SteeringLimits:
    """From *warm_c* on the device is slowed, from *hot_c* on it is out; 0 switches heat off.

    *alarm_duty* is the duty of a device that shows Alarm. *restarts_max* restarts within
    *restarts_window_s* take it out.
    """

    warm_c: float = 85.0
    hot_c: float = 100.0
    margin_c: float = 5.0
    alarm_duty: float = 1.0
    restarts_max: int = 20
    restarts_window_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What is seen of a device now; None where nobody tells. *restarts* are within the window.

    *fault* is why the device's own probe failed, if it did.
    """

    health: NpuHealth | None = None
    temperature_c: float | None = None
    restarts: int = 0
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What follows: the *duty* (0 to 1), why the device is *out* (empty: it is not), and *remark*.

    *felt_c* is the temperature that counts: it rises with every reading, and falls with a margin.
    """

    duty: float = 1.0
    out: str = ""
    remark: str = ""
    felt_c: float | None = None


def steer(before: Steering, signs: Signs, limits: SteeringLimits) -> Steering:
    """Decide anew."""
    felt_c = _felt_c(before.felt_c, signs.temperature_c, limits)
    heat_duty = _heat_duty(felt_c, limits)
    remarks = []
    if signs.health in {NpuHealth.WARNING, NpuHealth.ALARM}:
        remarks.append(f"npu-smi says {signs.health}")
    if heat_duty < 1.0:
        remarks.append(f"the device is at {_degrees(signs.temperature_c, felt_c)}")
    alarm_duty = limits.alarm_duty if signs.health is NpuHealth.ALARM else 1.0
    out = _why_out(signs, felt_c, limits)
    return Steering(
        duty=0.0 if out else min(heat_duty, alarm_duty),
        out=out,
        remark="; ".join(remarks),
        felt_c=felt_c,
    )


def probe_delay_s(failures: int) -> float:
    """Give how long to wait before the next probe of a device that is out."""
    return min(_LAST_PROBE_S, _FIRST_PROBE_S * 2.0 ** min(failures, 16))


def rest_ms(duty: float, device_ms: float) -> float:
    """Give how long a device rests after *device_ms* of work, for its share of work to be *duty*.

    A duty of 0 never comes here: such a device is out.
    """
    return 0.0 if duty >= 1.0 else device_ms * (1.0 / max(duty, 0.01) - 1.0)


def _felt_c(before_c: float | None, now_c: float | None, limits: SteeringLimits) -> float | None:
    if now_c is None:
        # Blind, the last that was felt still counts.
        return before_c
    if before_c is None:
        return now_c
    return min(max(before_c, now_c), now_c + limits.margin_c)


def _heat_duty(felt_c: float | None, limits: SteeringLimits) -> float:
    if felt_c is None or not limits.warm_c or felt_c <= limits.warm_c:
        return 1.0
    if felt_c >= limits.hot_c:
        return _LEAST_DUTY
    share = (felt_c - limits.warm_c) / (limits.hot_c - limits.warm_c)
    return 1.0 - (1.0 - _LEAST_DUTY) * share


def _why_out(signs: Signs, felt_c: float | None, limits: SteeringLimits) -> str:
    if signs.health in {NpuHealth.CRITICAL, NpuHealth.UNKNOWN}:
        return f"npu-smi says {signs.health}; reset the NPU or reboot the board if it stays"
    if limits.warm_c and felt_c is not None and felt_c >= limits.hot_c:
        return (
            f"it is at {_degrees(signs.temperature_c, felt_c)}, too hot to work; "
            f"{limits.hot_c:g} is GW_DEVICE_HOT_C"
        )
    if signs.restarts >= limits.restarts_max:
        minutes = limits.restarts_window_s / 60
        return f"its process was started again {signs.restarts} times within {minutes:g} min"
    return signs.fault


def _degrees(now_c: float | None, felt_c: float | None) -> str:
    shown_c = felt_c if now_c is None else now_c
    return f"{shown_c:g} degrees"
