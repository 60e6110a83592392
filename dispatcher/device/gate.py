"""The gate before the device: whether batches may go to it, how fast, and if not, why."""

from __future__ import annotations

from dispatcher.device.link import Device
from dispatcher.device.state import DevicePhase
from dispatcher.device.steering import Steering, rest_ms


class DeviceGate:
    """What steering decided, applied to the batches. Moments are monotonic milliseconds."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._rest_until_ms = 0.0
        self.steering = Steering()

    @property
    def is_out(self) -> bool:
        """Whether the device is taken out: nothing is to be held for it."""
        return bool(self.steering.out)

    @property
    def is_open(self) -> bool:
        """Whether the device takes work."""
        return not self.is_out and self._device.state.phase is DevicePhase.READY

    @property
    def reason(self) -> str:
        """Why the device takes no work; empty while it does."""
        state = self._device.state
        if self.is_out:
            return f"the device is taken out: {self.steering.out}"
        if state.phase is not DevicePhase.READY:
            return f"the device is {state.phase}: {state.reason}"
        return ""

    def rests(self, now_ms: float, *, in_flight: int) -> bool:
        """Whether nothing may be sent now, so that the device does no more than its duty."""
        if self.steering.duty >= 1.0:
            return False
        # One at a time: with another lying ready there would be no rest between them.
        return in_flight > 0 or now_ms < self._rest_until_ms

    def rest_left_ms(self, now_ms: float) -> float | None:
        """Give how long a rest lasts; None while only the end of what is in flight ends it."""
        return self._rest_until_ms - now_ms if now_ms < self._rest_until_ms else None

    def worked(self, now_ms: float, device_ms: float) -> None:
        """Note that a batch took *device_ms* of the device, and is through."""
        rest = rest_ms(self.steering.duty, device_ms)
        if rest:
            self._rest_until_ms = max(self._rest_until_ms, now_ms) + rest
