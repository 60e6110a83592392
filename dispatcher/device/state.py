"""What the supervisor knows of a device's state, and how soon a lost one is started again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DevicePhase(StrEnum):
    """Whether the device takes calls."""

    STARTING = "starting"
    READY = "ready"
    #: Gone, and not yet being started again.
    LOST = "lost"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """The phase, what ended the device last, and how often that happened in a row.

    *losses_in_a_row* counts crashes, hangs and failed starts since the last batch that went well.
    """

    phase: DevicePhase
    reason: str = ""
    losses_in_a_row: int = 0


def restart_delay_s(losses_in_a_row: int) -> float:
    """Give how long to wait before a restart: not at all twice, then 0.25 s doubling up to 5 s.

    Finding the picture that crashes a model takes two losses, which must be quick; a device that
    fails on everything must not spin.
    """
    if losses_in_a_row <= 2:
        return 0.0
    return float(min(5.0, 0.25 * 2 ** min(10, losses_in_a_row - 3)))
