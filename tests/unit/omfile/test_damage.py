"""Damaged and hostile files: only OmError comes out, soon, and without using memory.

Files are changed in every way that a broken upload, a bad disk or an attacker would: cut at each
length, each byte flipped, each length field set to the largest numbers, and at random.
"""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omfile.container import HEADER_BYTES
from omfile.errors import OmError, TruncatedOm
from omfile.facts import PartitionKind
from omfile.reader import read_om
from tests.unit.omfile.recipes import VARIETY, make_om

#: Above the file's own size: the objects for the longest lists that are allowed.
MOST_MEMORY_BYTES = 1 << 20
#: What lengths and counts of 32 and 64 bits are set to.
HUGE = [((1 << 31) - 1, 4), ((1 << 32) - 1, 4), ((1 << 63) - 1, 8), ((1 << 64) - 1, 8)]
HUGE_VARINT = b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
#: Patience with one file, far above the usual fraction of a millisecond.
MOST_S = 2.0

KINDS = sorted(VARIETY)


def cut_everywhere(data: bytes) -> Iterator[bytes]:
    """Cut *data* at every length."""
    return (data[:length] for length in range(len(data)))


def flipped_everywhere(data: bytes) -> Iterator[bytes]:
    """Flip all bits, or the lowest, of every byte, one at a time."""
    for position in range(len(data)):
        for mask in (0xFF, 0x01):
            flipped = bytearray(data)
            flipped[position] ^= mask
            yield bytes(flipped)


def huge_everywhere(data: bytes) -> Iterator[bytes]:
    """Put large numbers at every offset up to the graph: every fixed-width length is among them."""
    end = next(
        p.offset_bytes for p in read_om(data).partitions if p.kind == PartitionKind.MODEL_DEF
    )
    for number, size_bytes in HUGE:
        for at in range(end - size_bytes + 1):
            yield data[:at] + number.to_bytes(size_bytes, "little") + data[at + size_bytes :]


def huge_in_the_graph(data: bytes) -> Iterator[bytes]:
    """Put a large variable-width number in place of every byte of the graph."""
    part = read_om(data).find(PartitionKind.MODEL_DEF)
    assert part is not None
    for at in range(part.offset_bytes, part.offset_bytes + part.size_bytes - len(HUGE_VARINT)):
        yield data[:at] + HUGE_VARINT + data[at + len(HUGE_VARINT) :]


def lengthened(data: bytes) -> bytes:
    """Set the header's lengths to what the file has: the damage lies further in."""
    fixed = bytearray(data)
    payload = max(len(data) - HEADER_BYTES, 0)
    if len(data) >= HEADER_BYTES:
        fixed[76:80] = payload.to_bytes(4, "little")
        fixed[184:192] = payload.to_bytes(8, "little") if any(data[184:192]) else bytes(8)
    return bytes(fixed)


def around(kind: int, part: bytes) -> bytes:
    """Lay out a file of one part."""
    table = (1).to_bytes(8, "little") + kind.to_bytes(16, "little")
    return lengthened(make_om()[:HEADER_BYTES] + table + len(part).to_bytes(8, "little") + part)


def check_all(files: Iterable[bytes]) -> int:
    """Read every file; give how many were refused, each in one line and in time."""
    refusals = []
    for data in files:
        started = time.monotonic()
        try:
            read_om(data)
        except OmError as refusal:
            refusals.append(str(refusal))
        assert time.monotonic() - started < MOST_S
    assert not [refusal for refusal in refusals if "\n" in refusal]
    return len(refusals)


def check_memory(files: Iterable[bytes]) -> None:
    """Read every file, watching that none takes more than its own size allows."""
    tracemalloc.start()
    try:
        for data in files:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            with suppress(OmError):
                read_om(data)
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < MOST_MEMORY_BYTES + 3 * len(data)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_truncated(kind: str) -> None:
    """Every length short of the whole is refused as what it is, but for nothing at all."""
    data = VARIETY[kind]

    for cut in cut_everywhere(data):
        if cut:
            with pytest.raises(TruncatedOm, match="copy it again"):
                read_om(cut)
    assert check_all(cut_everywhere(data)) == len(data)


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_that_the_header_hides_does_no_harm(kind: str) -> None:
    """With its length made to fit, a cut file is refused further in or read, within bounds."""
    assert check_all(lengthened(cut) for cut in cut_everywhere(VARIETY[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_byte_does_no_harm(kind: str) -> None:
    """Damage to any byte is refused or harmless."""
    assert check_all(flipped_everywhere(VARIETY[kind]))


@pytest.mark.parametrize("kind", ["dims gears", "narrow table"])
def test_huge_lengths_take_no_memory(kind: str) -> None:
    """A length or count of 2^31 or 2^63 - 1 anywhere is refused before it is believed."""
    check_memory(huge_everywhere(VARIETY[kind]))
    check_memory(huge_in_the_graph(VARIETY[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_huge_lengths_do_no_harm(kind: str) -> None:
    """A length or count of 2^31 or 2^63 - 1 anywhere is refused in time, or harmless."""
    assert check_all(huge_everywhere(VARIETY[kind]))
    assert check_all(huge_in_the_graph(VARIETY[kind]))


def test_a_list_as_long_as_allowed_takes_bounded_memory() -> None:
    """The most tensors that a list may have, empty ones, cost a bounded multiple of the file."""
    listed = (1024).to_bytes(4, "little") + bytes(32 * 1024)
    part = bytes(4) + len(listed).to_bytes(4, "little") + listed

    check_memory([around(8, part)])


@pytest.mark.parametrize("seed", range(8))
def test_files_shuffled_at_random_do_no_harm(seed: int) -> None:
    """Pieces overwritten, removed and repeated, many at a time, are refused or harmless."""
    chance = random.Random(seed)

    def damaged() -> Iterator[bytes]:
        for _ in range(200):
            data = bytearray(VARIETY[chance.choice(KINDS)])
            for _ in range(chance.randint(1, 12)):
                start = chance.randrange(HEADER_BYTES // 2, len(data))
                length = chance.randint(1, 16)
                match chance.randrange(3):
                    case 0:
                        data[start : start + length] = chance.randbytes(length)
                    case 1:
                        del data[start : start + length]
                    case _:
                        data[start:start] = data[start : start + length]
            yield lengthened(bytes(data))

    assert check_all(damaged())


@given(st.binary(max_size=600))
@settings(max_examples=300)
def test_any_bytes_after_a_good_header_do_no_harm(payload: bytes) -> None:
    """Whatever follows a header of the right length is refused or read."""
    with suppress(OmError):
        read_om(lengthened(make_om()[:HEADER_BYTES] + payload))


@given(st.binary(max_size=600))
def test_any_bytes_at_all_are_refused(data: bytes) -> None:
    """Bytes that do not begin as an OM never pass as one."""
    if not data.startswith(b"IMOD"):
        with pytest.raises(OmError):
            read_om(data)


@pytest.mark.parametrize("repeated", [b"\x3a\x02\x32\x00", b"\x5a\x00", b"\x08\x00", b"\x32\x00"])
def test_a_part_full_of_tiny_fields_ends_soon(repeated: bytes) -> None:
    """Megabytes of empty fields are refused or passed over within seconds."""
    started = time.monotonic()

    with suppress(OmError):
        read_om(around(0, repeated * (1 << 20)))

    assert time.monotonic() - started < 20.0
