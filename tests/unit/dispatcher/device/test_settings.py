"""The settings about watching the device."""

from __future__ import annotations

import pytest

from dispatcher.settings import DispatcherSettings
from pipeline.errors import InvalidSettings
from pipeline.settings import load


def test_the_thresholds_become_limits() -> None:
    """What the operator sets is what steering goes by."""
    settings = load(
        DispatcherSettings,
        {"GW_DEVICE_WARM_C": "70", "GW_DEVICE_HOT_C": "80", "GW_DEVICE_ALARM_DUTY_PERCENT": "40"},
    )

    limits = settings.device.limits()
    assert (limits.warm_c, limits.hot_c, limits.alarm_duty) == (70, 80, 0.4)


def test_thresholds_that_contradict_each_other_are_refused() -> None:
    """Hot must be above warm, unless heat is ignored."""
    with pytest.raises(InvalidSettings, match="GW_DEVICE_HOT_C must be above"):
        load(DispatcherSettings, {"GW_DEVICE_WARM_C": "90", "GW_DEVICE_HOT_C": "90"})
    load(DispatcherSettings, {"GW_DEVICE_WARM_C": "0", "GW_DEVICE_HOT_C": "50"})
