"""Tests of dispatcher/device/arena.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.device.arena import ALIGNMENT_BYTES, Arena, FirstFit, SharedMemory, aligned
from pipeline.errors import ContractBroken, InvalidSettings

UNIT = ALIGNMENT_BYTES


@pytest.fixture
def memory() -> Iterator[SharedMemory]:
    """Give shared memory of sixteen units."""
    memory = SharedMemory.create(16 * UNIT)
    yield memory
    memory.close()


@pytest.fixture
def arena(memory: SharedMemory) -> Arena:
    """Give an arena of the upper eight units."""
    return Arena(memory, 8 * UNIT, 8 * UNIT)


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(3):
        await asyncio.sleep(0)


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(1, 9), st.integers(0, 99)), max_size=60))
def test_parts_never_overlap_and_freed_ones_join(
    steps: list[tuple[bool, int, int]],
) -> None:
    """Whatever is taken and given back, parts and holes tile the whole, and holes never touch."""
    start, size = 3 * UNIT, 20 * UNIT
    free = FirstFit(start, size)
    taken: list[tuple[int, int]] = []
    for takes, units, pick in steps:
        if takes:
            fits = [offset for offset, hole in free.holes if hole >= units * UNIT]
            offset = free.take(units * UNIT)
            assert offset == (fits[0] if fits else None)
            if offset is not None:
                taken.append((offset, units * UNIT))
        elif taken:
            free.give_back(*taken.pop(pick % len(taken)))

        pieces = sorted([*taken, *free.holes])
        ends = [start, *(offset + length for offset, length in pieces)]
        assert [offset for offset, _ in pieces] == ends[:-1]
        assert ends[-1] == start + size
        holes = list(free.holes)
        assert all(sum(a) < b[0] for a, b in pairwise(holes))

    for part in taken:
        free.give_back(*part)
    assert list(free.holes) == [(start, size)]


@pytest.mark.parametrize(("size", "rounded"), [(0, 64), (1, 64), (64, 64), (65, 128), (4096, 4096)])
def test_sizes_are_rounded_up_to_the_alignment(size: int, rounded: int) -> None:
    """A size becomes a multiple of 64, and nothing takes no room."""
    assert aligned(size) == rounded


async def test_a_block_is_aligned_memory_of_its_own(arena: Arena) -> None:
    """Two blocks of one arena are aligned, lie in it, and do not see each other's values."""
    first, second = await arena.allocate(10), await arena.allocate(70)
    first.view((10,), np.uint8)[:] = 1
    second.view((70,), np.uint8)[:] = 2

    assert first.offset % UNIT == second.offset % UNIT == 0
    assert first.offset >= 8 * UNIT
    assert (first.view((10,), np.uint8) == 1).all()
    assert arena.free_bytes == 5 * UNIT


async def test_a_view_must_lie_in_its_living_block(arena: Arena) -> None:
    """A view past the block's end, or of a released block, is a defect that is told."""
    block = await arena.allocate(UNIT)

    assert block.view((8,), np.float32, at=32).nbytes == 32
    with pytest.raises(ContractBroken, match="36 bytes at 32 in a block of 64"):
        block.view((9,), np.float32, at=32)
    with pytest.raises(ContractBroken):
        block.view((1,), np.uint8, at=-1)
    block.release()
    with pytest.raises(ContractBroken, match="released block"):
        block.view((1,), np.uint8)


async def test_releasing_twice_frees_once(arena: Arena) -> None:
    """A second release does not free what somebody else has taken since."""
    block = await arena.allocate(8 * UNIT)
    block.release()
    other = await arena.allocate(8 * UNIT)

    block.release()

    assert arena.free_bytes == 0
    other.release()
    assert arena.free_bytes == 8 * UNIT


async def test_who_does_not_fit_waits_in_line(arena: Arena) -> None:
    """A large request is not overtaken by a small one that would fit at once."""
    held = await arena.allocate(5 * UNIT)
    large = asyncio.create_task(arena.allocate(6 * UNIT))
    await settle()
    small = asyncio.create_task(arena.allocate(UNIT))
    await settle()
    assert not large.done()
    assert not small.done()

    held.release()

    assert (await large).offset < (await small).offset


async def test_a_cancelled_waiter_leaves_the_line(arena: Arena) -> None:
    """When the first in line gives up, the next one that fits is served."""
    await arena.allocate(5 * UNIT)
    large = asyncio.create_task(arena.allocate(6 * UNIT))
    await settle()
    small = asyncio.create_task(arena.allocate(UNIT))
    await settle()

    large.cancel()
    await settle()

    assert (await small).size_bytes == UNIT


async def test_a_waiter_cancelled_as_it_is_served_loses_nothing(arena: Arena) -> None:
    """A block that was handed to a task which is cancelled in the same moment is free again."""
    held = await arena.allocate(8 * UNIT)
    waiter = asyncio.create_task(arena.allocate(8 * UNIT))
    await settle()

    held.release()
    waiter.cancel()
    await settle()

    assert waiter.cancelled()
    assert arena.free_bytes == 8 * UNIT


async def test_what_can_never_fit_is_refused(arena: Arena) -> None:
    """A request larger than the whole arena does not wait for ever."""
    with pytest.raises(InvalidSettings, match="do not fit"):
        await arena.allocate(8 * UNIT + 1)


def test_an_array_is_found_in_the_memory(memory: SharedMemory) -> None:
    """The offset of a view is known; what is elsewhere, or in pieces, is refused."""
    whole = memory.view(64, (4, 8), np.float32)

    assert memory.offset_of(whole) == 64
    assert memory.offset_of(whole[2]) == 64 + 2 * 32
    for array in (np.zeros(4), whole[:, ::2]):
        with pytest.raises(ContractBroken):
            memory.offset_of(array)


def test_both_ends_see_one_memory(memory: SharedMemory) -> None:
    """What one mapping of the descriptor writes, another reads."""
    other = SharedMemory(memory.fd, memory.size_bytes)

    memory.view(0, (4,), np.float32)[:] = [1, 2, 3, 4]

    assert other.view(0, (4,), np.float32).tolist() == [1, 2, 3, 4]
