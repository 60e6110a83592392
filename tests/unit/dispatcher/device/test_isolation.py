"""Tests of dispatcher/device/isolation.py with a scripted device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.decoders.outputs import NamedOutput
from dispatcher.device.arena import Arena, SharedMemory
from dispatcher.device.errors import DeviceLost, DeviceUnavailable
from dispatcher.device.isolation import BatchOutcome, ItemOutputs, infer_isolated
from dispatcher.device.link import Inference
from pipeline.errors import ContractBroken, ModelFault

CRASHES = "crashes"
RAISES = "raises"


class ScriptedDevice:
    """Squares its items, and fails as the poison among them says. Every run is written down."""

    def __init__(self, poison: dict[int, str], *, accidents: Sequence[int] = ()) -> None:
        self._poison = poison
        self._accidents = set(accidents)
        memory = SharedMemory.create(1 << 16)
        memory.close_descriptor()
        self.arena = Arena(memory, 0, 1 << 16)
        self.runs: list[tuple[int, ...]] = []
        self.losses = 0

    async def infer(self, items: Sequence[int]) -> Inference:
        """Run *items*; the numbers of the runs that are lost by accident count from 1."""
        self.runs.append(tuple(items))
        kinds = {self._poison.get(item) for item in items}
        if CRASHES in kinds or len(self.runs) in self._accidents:
            self.losses += 1
            raise DeviceLost("the device process crashed (SIGSEGV)")
        if RAISES in kinds:
            raise ModelFault("ValueError: no")
        block = await self.arena.allocate(8 * len(items))
        values = block.view((len(items),), np.int64)
        values[:] = [item * item for item in items]
        return Inference((NamedOutput(name="square", values=values),), 1.5, block)

    @property
    def all_released(self) -> bool:
        """Whether every run's outputs were given back."""
        return self.arena.free_bytes == self.arena.size_bytes


def values(outcome: BatchOutcome) -> Iterator[Any]:
    """Give each item's value, or the error it got."""
    for item in outcome.items:
        if isinstance(item, ItemOutputs):
            yield int(item.outputs[0].item(item.item))
        else:
            yield item


@given(data=st.data(), size=st.integers(1, 40))
async def test_exactly_the_poison_fails(data: st.DataObject, size: int) -> None:
    """For any batch and any poison in it, the poison fails and each other item has its value."""
    poison = data.draw(
        st.dictionaries(st.integers(0, size - 1), st.sampled_from([CRASHES, RAISES]))
    )
    device = ScriptedDevice(poison)

    outcome = await infer_isolated(device.infer, list(range(size)))

    for item, value in enumerate(values(outcome)):
        if item in poison:
            assert isinstance(value, ModelFault)
            assert isinstance(value, DeviceLost) == (poison[item] == CRASHES)
        else:
            assert value == item * item
    assert outcome.runs == len(device.runs) <= 3 * size
    crashing = sum(kind == CRASHES for kind in poison.values())
    assert device.losses == (1 + crashing if crashing else 0)
    outcome.release()
    assert device.all_released


async def test_a_good_batch_runs_once() -> None:
    """Without a fault there is one run, of the whole batch, and its time is the batch's."""
    device = ScriptedDevice({})

    outcome = await infer_isolated(device.infer, [0, 1, 2, 3])

    assert device.runs == [(0, 1, 2, 3)]
    assert list(values(outcome)) == [0, 1, 4, 9]
    assert outcome.device_ms == 1.5


async def test_a_crash_is_isolated_item_by_item() -> None:
    """One crashing item of eight costs two lost devices and nine runs."""
    device = ScriptedDevice({5: CRASHES})

    await infer_isolated(device.infer, list(range(8)))

    assert device.losses == 2
    assert device.runs[1:] == [(item,) for item in range(8)]


async def test_a_refusal_is_isolated_in_halves() -> None:
    """One refused item of eight is found by halving: seven runs."""
    device = ScriptedDevice({5: RAISES})

    await infer_isolated(device.infer, list(range(8)))

    assert device.runs[1:] == [(0, 1, 2, 3), (4, 5, 6, 7), (4, 5), (4,), (5,), (6, 7)]


@pytest.mark.parametrize("size", [1, 4])
async def test_a_device_killed_from_outside_fails_no_item(size: int) -> None:
    """A loss that no item causes, in the first run, leaves every item with its value."""
    device = ScriptedDevice({}, accidents=[1])

    outcome = await infer_isolated(device.infer, list(range(size)))

    assert list(values(outcome)) == [item * item for item in range(size)]


async def test_a_device_that_stays_away_blames_nobody() -> None:
    """Items that did not come to an end get the device's absence, the others keep their values."""
    device = ScriptedDevice({1: CRASHES})

    async def infer(items: Sequence[int]) -> Inference:
        if device.losses == 2:
            raise DeviceUnavailable("gw-device-0 did not start")
        return await device.infer(items)

    outcome = await infer_isolated(infer, [0, 1, 2, 3])

    first, poison, *rest = values(outcome)
    assert first == 0
    assert isinstance(poison, DeviceLost)
    assert all(isinstance(value, DeviceUnavailable) for value in rest)
    outcome.release()
    assert device.all_released


async def test_an_unexpected_error_is_passed_on_and_nothing_is_kept() -> None:
    """A defect is not taken for an item's fault, and the outputs so far are given back."""
    device = ScriptedDevice({3: RAISES})

    async def infer(items: Sequence[int]) -> Inference:
        if len(device.runs) == 2:
            raise ContractBroken("a defect")
        return await device.infer(items)

    with pytest.raises(ContractBroken, match="a defect"):
        await infer_isolated(infer, [0, 1, 2, 3])

    assert len(device.runs) == 2
    assert device.all_released
