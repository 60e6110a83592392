"""The gate before the device."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from dispatcher.device.gate import DeviceGate
from dispatcher.device.link import Device, DeviceConfig
from dispatcher.device.steering import Steering


@pytest.fixture
def gate() -> Iterator[DeviceGate]:
    """Give the gate of a device that was never started."""
    device = Device(DeviceConfig(runtime="onnx", input_bytes=4096, output_bytes=4096))
    yield DeviceGate(device)
    asyncio.run(device.stop())


def test_a_device_that_is_not_there_takes_no_work(gate: DeviceGate) -> None:
    """The reason has its phase; out, it has what took it out."""
    assert not gate.is_open
    assert gate.reason == "the device is stopped: not started"

    gate.steering = Steering(duty=0.0, out="too hot")
    assert gate.is_out
    assert gate.reason == "the device is taken out: too hot"


def test_at_full_duty_nothing_rests(gate: DeviceGate) -> None:
    """Batches may lie ready behind one another."""
    gate.worked(1000, 50)

    assert not gate.rests(1000, in_flight=2)


def test_at_half_duty_each_batch_is_followed_by_as_long_a_rest(gate: DeviceGate) -> None:
    """Nothing is sent while one runs, nor until its rest is over."""
    gate.steering = Steering(duty=0.5)

    assert not gate.rests(1000, in_flight=0)
    assert gate.rests(1010, in_flight=1)
    assert gate.rest_left_ms(1010) is None
    gate.worked(1040, 40)
    assert gate.rests(1041, in_flight=0)
    assert gate.rest_left_ms(1050) == 30
    assert not gate.rests(1080, in_flight=0)


@pytest.mark.parametrize("duty", [0.25, 0.5, 0.75])
def test_work_sent_as_soon_as_it_may_be_is_the_duty(gate: DeviceGate, duty: float) -> None:
    """Over many batches of any length the device works its share of the time, not more."""
    gate.steering = Steering(duty=duty)
    now_ms, worked_ms = 0.0, 0.0
    for number in range(200):
        device_ms = 5.0 + number % 7
        while gate.rests(now_ms, in_flight=0):
            now_ms += gate.rest_left_ms(now_ms) or 0.0
        now_ms += device_ms
        worked_ms += device_ms
        gate.worked(now_ms, device_ms)

    assert worked_ms / now_ms == pytest.approx(duty, rel=0.02)
