"""Memory shared with the device process, and its allocation.

The memory has no name: it is a memfd (an unlinked file where the system has none), handed to the
device process as a descriptor. So there is nothing in ``/dev/shm`` to leak, whoever dies first, no
resource tracker to appease, and a container's 64 MB limit on ``/dev/shm`` does not apply. Pages are
taken from the system when first touched; first fit keeps using the lowest ones.

Only the supervisor allocates. Allocation belongs to the event loop's thread; views may be filled
and read in any.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import tempfile
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pipeline.errors import ContractBroken, InvalidSettings

#: What NPU copies and SIMD loads like; also keeps two blocks off one cache line.
ALIGNMENT_BYTES = 64


def aligned(size_bytes: int) -> int:
    """Round *size_bytes* up to the alignment; at least one unit."""
    return max(1, -(-size_bytes // ALIGNMENT_BYTES)) * ALIGNMENT_BYTES


class SharedMemory:
    """Memory behind *fd*, which both processes map. It lives until the last of them lets go."""

    def __init__(self, fd: int, size_bytes: int) -> None:
        self.fd = fd
        self.size_bytes = size_bytes
        self.bytes: NDArray[np.uint8] = np.frombuffer(mmap.mmap(fd, size_bytes), np.uint8)
        self.address = _address(self.bytes)

    @classmethod
    def create(cls, size_bytes: int) -> SharedMemory:
        """Make new memory of *size_bytes*, all zero."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("gw-device")
        else:
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        os.ftruncate(fd, size_bytes)
        return cls(fd, size_bytes)

    def view(self, offset: int, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """View an array at *offset*, without a copy."""
        return np.ndarray(shape, dtype, self.bytes, offset)

    def offset_of(self, array: NDArray[Any]) -> int:
        """Give where *array* lies; raises ContractBroken if it is not one piece of this memory."""
        offset = _address(array) - self.address
        if not (0 <= offset <= self.size_bytes - array.nbytes and array.flags.c_contiguous):
            raise ContractBroken("an item is not one contiguous piece of the device's memory")
        return offset

    def close(self) -> None:
        """Let go of the memory, once. The mapping goes with its last view."""
        self.close_descriptor()
        self.bytes = np.empty(0, np.uint8)

    def close_descriptor(self) -> None:
        """Close the descriptor, once it needs to be handed to nobody any more."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


class FirstFit:
    """Which parts of ``start .. start + size_bytes`` are free. Pure bookkeeping of offsets."""

    def __init__(self, start: int, size_bytes: int) -> None:
        self._holes = [(start, size_bytes)]

    @property
    def holes(self) -> Sequence[tuple[int, int]]:
        """The free parts as (offset, size), lowest first, none touching another."""
        return self._holes

    def take(self, size_bytes: int) -> int | None:
        """Take the lowest part of *size_bytes* (a multiple of the alignment); None if none fits."""
        for index, (offset, free_bytes) in enumerate(self._holes):
            if free_bytes >= size_bytes:
                rest = (offset + size_bytes, free_bytes - size_bytes)
                self._holes[index : index + 1] = [rest] if rest[1] else []
                return offset
        return None

    def give_back(self, offset: int, size_bytes: int) -> None:
        """Free what :meth:`take` gave, joining it with the holes beside it."""
        index = bisect_left(self._holes, (offset, 0))
        end = offset + size_bytes
        first, last = index, index
        if index < len(self._holes) and self._holes[index][0] == end:
            end += self._holes[index][1]
            last = index + 1
        if index > 0 and sum(self._holes[index - 1]) == offset:
            offset = self._holes[index - 1][0]
            first = index - 1
        self._holes[first:last] = [(offset, end - offset)]


class Block:
    """A piece of an arena, to be released once nobody reads or writes it any more."""

    __slots__ = ("_arena", "offset", "size_bytes")

    def __init__(self, arena: Arena, offset: int, size_bytes: int) -> None:
        self._arena: Arena | None = arena
        self.offset = offset
        self.size_bytes = size_bytes

    def view(self, shape: Sequence[int], dtype: DTypeLike, *, at: int = 0) -> NDArray[Any]:
        """View an array *at* so many bytes in; raises ContractBroken where it sticks out."""
        if self._arena is None:
            raise ContractBroken("a released block is viewed")
        array = self._arena.memory.view(self.offset + at, shape, dtype)
        if at < 0 or at + array.nbytes > self.size_bytes:
            raise ContractBroken(f"{array.nbytes} bytes at {at} in a block of {self.size_bytes}")
        return array

    def release(self) -> None:
        """Give the piece back. Releasing again does nothing."""
        arena, self._arena = self._arena, None
        if arena is not None:
            arena.give_back(self.offset, self.size_bytes)


class Arena:
    """A bounded part of shared memory, given out in blocks; who asks for too much waits in line.

    Whoever holds blocks while waiting for more can deadlock with another who does: take what a
    batch needs at once (one block, viewed item by item), or one batch at a time.
    """

    def __init__(self, memory: SharedMemory, start: int, size_bytes: int) -> None:
        self.memory = memory
        self.size_bytes = size_bytes
        self._free = FirstFit(start, size_bytes)
        self._waiting: deque[tuple[int, asyncio.Future[Block]]] = deque()

    @property
    def free_bytes(self) -> int:
        """How much is free, in however many pieces."""
        return sum(size for _, size in self._free.holes)

    async def allocate(self, size_bytes: int) -> Block:
        """Take *size_bytes*, waiting behind earlier callers until it fits.

        Raises InvalidSettings where it could never fit.
        """
        needed = aligned(size_bytes)
        if needed > self.size_bytes:
            raise InvalidSettings(
                f"{size_bytes} bytes do not fit the device's shared memory of {self.size_bytes}"
            )
        if not self._waiting and (block := self._take(needed)) is not None:
            return block
        turn: asyncio.Future[Block] = asyncio.get_running_loop().create_future()
        self._waiting.append((needed, turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                turn.result().release()
            self._serve()  # whoever stood behind may fit
            raise

    def give_back(self, offset: int, size_bytes: int) -> None:
        """Free a block's memory; blocks do this themselves on release."""
        self._free.give_back(offset, size_bytes)
        self._serve()

    def _take(self, size_bytes: int) -> Block | None:
        offset = self._free.take(size_bytes)
        return None if offset is None else Block(self, offset, size_bytes)

    def _serve(self) -> None:
        while self._waiting:
            size_bytes, turn = self._waiting[0]
            if not turn.done():
                block = self._take(size_bytes)
                if block is None:
                    return
                turn.set_result(block)
            self._waiting.popleft()


def _address(array: NDArray[Any]) -> int:
    address: int = array.__array_interface__["data"][0]
    return address
