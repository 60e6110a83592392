"""Device and host memory: real, aligned, poisoned, guarded and counted.

Every block is C memory, so ``ctypes``, numpy and C code can work in it. A block is filled with
``POISON`` when it is given out (hardware does not clear memory), has guard bytes on both sides,
and is kept for a while after it is freed, so that a late access is recognised. In host mode
(acl behind PCIe) a device address is the real one plus ``DEVICE_OFFSET``: not mapped, so touching
it from Python fails as it would there.
"""

from __future__ import annotations

import bisect
import ctypes
import ctypes.util
import mmap
import threading
from collections import deque
from dataclasses import dataclass, field

from acl._clock import fill_locked
from acl._findings import Findings
from acl._handles import Stack, calling_stack, describe

POISON = 0xA5
FREED = 0xDD
#: Above every user-space address of x86-64 and of 48-bit AArch64, below the tag byte.
DEVICE_OFFSET = 1 << 50

_GUARD = b"\xfd" * 64
_GUARD_BYTES = len(_GUARD)
# DVPP wants 128-byte aligned addresses, everything else 64: one alignment serves both.
_ALIGNMENT = 128
_ROUNDING_BYTES = 32
_QUARANTINE_BYTES = 16 << 20
_QUARANTINE_BLOCKS = 512
_HUGE_PAGE_BYTES = 2 << 20
_MIB = 1 << 20

_C = ctypes.CDLL(None, use_errno=True)
_C.aligned_alloc.restype = ctypes.c_void_p
_C.aligned_alloc.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
_C.free.argtypes = [ctypes.c_void_p]
_C.msync.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_MS_ASYNC = 1

HUGE_FIRST = 0
HUGE_ONLY = 1


@dataclass(slots=True, eq=False)
class Block:
    """One allocation. *address* is what the program sees, *real* where the bytes are."""

    address: int
    real: int
    size_bytes: int
    kind: str
    on_device: bool
    made: Stack
    raw: int
    charged_bytes: int
    huge_pages: int = 0
    pins: int = 0
    freed: Stack | None = None


@dataclass(slots=True, frozen=True)
class Span:
    """A checked range of memory: *real* can be read and written. *block* is None if not ours."""

    real: int
    size_bytes: int
    block: Block | None

    @property
    def on_device(self) -> bool:
        """Whether the range is device memory."""
        return self.block is not None and self.block.on_device


class OutOfMemory(Exception):
    """The device's memory, or its huge pages, cannot hold the allocation."""


@dataclass(slots=True)
class _Budget:
    """Bytes of device memory: all of it, what the system keeps, and what is taken."""

    total_bytes: int
    free_bytes: int
    huge_pages_total: int
    huge_pages_free: int = field(default=0)


class Memory:
    """The arenas of one process."""

    def __init__(
        self, findings: Findings, *, memory_mb: int, system_mb: int, huge_pages: int, split: bool
    ) -> None:
        self._findings = findings
        self._split = split
        self._lock = threading.RLock()
        self._starts: list[int] = []
        self._blocks: dict[int, Block] = {}
        self._quarantine: deque[Block] = deque()
        self._quarantined_bytes = 0
        free = (memory_mb - system_mb) * _MIB
        self._budget = _Budget(memory_mb * _MIB, free, huge_pages, huge_pages)

    def allocate(self, size_bytes: int, kind: str, *, policy: int = HUGE_FIRST) -> int:
        """Give the address of a new poisoned block. Raises OutOfMemory."""
        on_device = kind != "malloc_host" or not self._split
        rounded = -(-size_bytes // _ROUNDING_BYTES) * _ROUNDING_BYTES + _ROUNDING_BYTES
        with self._lock:
            pages = self._take_pages(rounded, policy) if on_device else 0
            charged = rounded if on_device else 0
            try:
                self.charge(charged)
                raw = self._raw_block(rounded)
            except OutOfMemory:
                self._budget.huge_pages_free += pages
                raise
            real = raw + _ALIGNMENT
            fill_locked(real, POISON, size_bytes)
            ctypes.memmove(real - _GUARD_BYTES, _GUARD, _GUARD_BYTES)
            ctypes.memmove(real + size_bytes, _GUARD, _GUARD_BYTES)
            address = real + DEVICE_OFFSET if on_device and self._split else real
            made = calling_stack()
            block = Block(address, real, size_bytes, kind, on_device, made, raw, charged, pages)
            self._blocks[address] = block
            bisect.insort(self._starts, address)
            return address

    def release(self, address: int, kind: str, *, call: str) -> bool:
        """Take a block back; False after a misuse (wrong call, interior pointer, double free)."""
        with self._lock:
            block = self._blocks.get(address)
            if block is None or block.freed is not None or block.kind != kind:
                self._findings.misuse(f"{call}: {self._diagnose(address, kind)}")
                return False
            self.check_guards(block, call=call)
            if block.pins:
                self._findings.misuse(
                    f"{call}: {address:#x} is still used by work in a stream; synchronise first"
                )
            block.freed = calling_stack()
            self._budget.free_bytes += block.charged_bytes
            self._budget.huge_pages_free += block.huge_pages
            fill_locked(block.real, FREED, block.size_bytes)
            self._quarantine.append(block)
            self._quarantined_bytes += block.size_bytes
            self._drain()
            return True

    def charge(self, size_bytes: int) -> None:
        """Take *size_bytes* of the device's memory without an address. Raises OutOfMemory."""
        with self._lock:
            if size_bytes > self._budget.free_bytes:
                free = self._budget.free_bytes
                raise OutOfMemory(f"{size_bytes} bytes asked for, {free} bytes free")
            self._budget.free_bytes -= size_bytes

    def refund(self, size_bytes: int) -> None:
        """Give back what was charged."""
        with self._lock:
            self._budget.free_bytes += size_bytes

    def span(self, address: int, size_bytes: int, *, call: str) -> Span | None:
        """Check that *size_bytes* at *address* can be used; None after a misuse."""
        block = self.block_at(address)
        if block is None:
            if address < DEVICE_OFFSET and _mapped(address, size_bytes):
                return Span(address, size_bytes, None)
            self._findings.misuse(f"{call}: {size_bytes} bytes at {address:#x} are no memory")
            return None
        if block.freed is not None:
            self._findings.misuse(
                f"{call}: {address:#x} is memory that was freed at {describe(block.freed)}"
            )
            return None
        past = address + size_bytes - block.address - block.size_bytes
        if past > 0:
            self._findings.misuse(
                f"{call}: {size_bytes} bytes at {address:#x} run {past} bytes past the end of the"
                f" {block.kind} block made at {describe(block.made)}"
            )
            return None
        return Span(block.real + address - block.address, size_bytes, block)

    def block_at(self, address: int) -> Block | None:
        """Give the live or lately freed block that holds *address*."""
        with self._lock:
            position = bisect.bisect_right(self._starts, address) - 1
            if position < 0:
                return None
            block = self._blocks[self._starts[position]]
            return block if address < block.address + block.size_bytes else None

    def check_guards(self, block: Block, *, call: str) -> None:
        """Find writes just before or behind *block*; each is a misuse."""
        before = ctypes.string_at(block.real - _GUARD_BYTES, _GUARD_BYTES)
        behind = ctypes.string_at(block.real + block.size_bytes, _GUARD_BYTES)
        if before == _GUARD == behind:
            return
        where = "before the start" if before != _GUARD else "past the end"
        ctypes.memmove(block.real - _GUARD_BYTES, _GUARD, _GUARD_BYTES)
        ctypes.memmove(block.real + block.size_bytes, _GUARD, _GUARD_BYTES)
        self._findings.misuse(
            f"{call}: somebody wrote {where} of the {block.size_bytes} byte {block.kind} block"
            f" made at {describe(block.made)}"
        )

    def budget(self, *, huge: bool | None = None) -> tuple[int, int]:
        """Give free and total bytes: of all memory, of the huge pages, or of the rest."""
        with self._lock:
            huge_free = self._budget.huge_pages_free * _HUGE_PAGE_BYTES
            huge_total = self._budget.huge_pages_total * _HUGE_PAGE_BYTES
            free, total = self._budget.free_bytes, self._budget.total_bytes
        if huge is None:
            return free, total
        return (huge_free, huge_total) if huge else (max(0, free - huge_free), total - huge_total)

    def huge_pages(self) -> tuple[int, int]:
        """Give the used and total number of huge pages."""
        total = self._budget.huge_pages_total
        return total - self._budget.huge_pages_free, total

    def live(self) -> list[str]:
        """Give one line for each block that was not freed."""
        with self._lock:
            return [
                f"{block.kind} of {block.size_bytes} bytes at {block.address:#x} made at"
                f" {describe(block.made)}"
                for block in self._blocks.values()
                if block.freed is None
            ]

    def close(self) -> None:
        """Give all memory back to the system, for a fresh start of the emulator."""
        with self._lock:
            for block in self._blocks.values():
                _C.free(block.raw)
            self._blocks.clear()
            self._starts.clear()
            self._quarantine.clear()
            self._quarantined_bytes = 0

    def _take_pages(self, rounded_bytes: int, policy: int) -> int:
        pages = -(-rounded_bytes // _HUGE_PAGE_BYTES)
        fits = pages <= self._budget.huge_pages_free
        if policy == HUGE_ONLY and not fits:
            free = self._budget.huge_pages_free
            raise OutOfMemory(f"{pages} huge pages asked for, {free} free")
        if policy == HUGE_ONLY or (policy == HUGE_FIRST and fits and rounded_bytes > _MIB):
            self._budget.huge_pages_free -= pages
            return pages
        return 0

    def _raw_block(self, rounded_bytes: int) -> int:
        whole = rounded_bytes + _ALIGNMENT + _GUARD_BYTES
        raw = _C.aligned_alloc(_ALIGNMENT, -(-whole // _ALIGNMENT) * _ALIGNMENT)
        if not raw:
            raise OutOfMemory("the machine that emulates has no memory left")
        return int(raw)

    def _drain(self) -> None:
        for _ in range(len(self._quarantine)):
            enough = self._quarantined_bytes <= _QUARANTINE_BYTES
            if enough and len(self._quarantine) <= _QUARANTINE_BLOCKS:
                return
            block = self._quarantine.popleft()
            if block.pins:
                self._quarantine.append(block)
                continue
            self._quarantined_bytes -= block.size_bytes
            del self._blocks[block.address]
            del self._starts[bisect.bisect_left(self._starts, block.address)]
            _C.free(block.raw)

    def _diagnose(self, address: int, kind: str) -> str:
        block = self.block_at(address)
        if block is None:
            return f"{address:#x} is no address that acl gave out"
        if block.freed is not None:
            return f"{address:#x} was already freed at {describe(block.freed)}"
        if block.address != address:
            return f"{address:#x} lies inside a block that starts at {block.address:#x}"
        return f"{address:#x} is {block.kind} memory, this call frees {kind} memory"


def _mapped(address: int, size_bytes: int) -> bool:
    """Whether the whole range belongs to this process."""
    first = address - address % mmap.PAGESIZE
    return bool(_C.msync(first, address + max(size_bytes, 1) - first, _MS_ASYNC) == 0)
