"""What can go wrong between the supervisor and a device process."""

from __future__ import annotations

from pipeline.errors import ModelFault, Unavailable


class DeviceLost(ModelFault):
    """The device process crashed or hung while it ran this very call: its items are suspect.

    *is_gone* is False for a process that could not be killed and may still write to its memory.
    """

    def __init__(self, message: str, *, is_gone: bool = True) -> None:
        super().__init__(message)
        self.is_gone = is_gone


class DeviceUnavailable(Unavailable):
    """The device is away and the call never ran: nobody's picture is to blame."""


class ModelNotLoaded(DeviceUnavailable):
    """The device does not hold the model, perhaps no longer since its last restart."""
