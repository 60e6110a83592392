"""What the operator can set about watching the device, and about how much it may work."""

from __future__ import annotations

from dataclasses import dataclass

from dispatcher.device.steering import SteeringLimits
from pipeline.errors import InvalidSettings
from pipeline.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """How the device is watched and steered."""

    poll_interval_s: float = setting(
        "GW_NPU_SMI_INTERVAL_S",
        30.0,
        "How often npu-smi and the device are asked how they are; 0 never asks npu-smi.",
        at_least=0,
        at_most=3600,
    )
    busy_window_s: float = setting(
        "GW_DEVICE_BUSY_WINDOW_S",
        60.0,
        "The window over which the device's busy share is told.",
        at_least=1,
        at_most=3600,
    )
    warm_c: float = setting(
        "GW_DEVICE_WARM_C",
        85.0,
        "From this temperature on the device works less, down to a quarter; 0 ignores heat.",
        at_least=0,
        at_most=200,
    )
    hot_c: float = setting(
        "GW_DEVICE_HOT_C",
        100.0,
        "From this temperature on the device is taken out until it has cooled.",
        at_least=1,
        at_most=250,
    )
    margin_c: float = setting(
        "GW_DEVICE_COOLED_BY_C",
        5.0,
        "A device gets back what heat took once it is cooler by this much.",
        at_least=0,
        at_most=50,
    )
    alarm_duty_percent: int = setting(
        "GW_DEVICE_ALARM_DUTY_PERCENT",
        100,
        "How much a device with health Alarm may work. Some boards always show it and are well.",
        at_least=5,
        at_most=100,
    )
    restarts_max: int = setting(
        "GW_DEVICE_RESTARTS_MAX",
        20,
        "After so many restarts within the window the device is taken out, and probed. A picture "
        "that crashes a model costs three.",
        at_least=3,
    )
    restarts_window_s: float = setting(
        "GW_DEVICE_RESTARTS_WINDOW_S",
        600.0,
        "The window in which restarts are counted.",
        at_least=1,
        at_most=86400,
    )
    decode_timeout_s: float = setting(
        "GW_DECODE_TIMEOUT_S",
        60.0,
        "A picture that takes longer to read and decode has hung: its job fails, and the "
        "dispatcher is started anew.",
        at_least=1,
        at_most=3600,
    )

    def __post_init__(self) -> None:
        """Raise InvalidSettings for thresholds that contradict each other."""
        if self.warm_c and self.hot_c <= self.warm_c:
            raise InvalidSettings("GW_DEVICE_HOT_C must be above GW_DEVICE_WARM_C")

    def limits(self) -> SteeringLimits:
        """Give what steering goes by."""
        return SteeringLimits(
            warm_c=self.warm_c,
            hot_c=self.hot_c,
            margin_c=self.margin_c,
            alarm_duty=self.alarm_duty_percent / 100,
            restarts_max=self.restarts_max,
            restarts_window_s=self.restarts_window_s,
        )
