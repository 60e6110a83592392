"""The header and the tables, against bytes laid out by hand."""

from __future__ import annotations

import struct

import pytest

from omfile.container import read_header, read_partitions
from omfile.errors import EncryptedOm, MalformedOm, NotAnOm, TruncatedOm
from omfile.source import MemorySource
from tests.unit.omfile.by_hand import header_bytes, wide


def source_of(*pieces: bytes) -> MemorySource:
    """Join pieces into what the reader reads from."""
    return MemorySource(memoryview(b"".join(pieces)))


def test_the_header_is_read_field_by_field() -> None:
    """Each field is taken from its own offset."""
    payload = wide((8, b"in"))
    raw = header_bytes(
        model_length=len(payload),
        modeltype=1,
        model_num=1,
        need_check_os_cpu_info=1,
        is_unknow_model=1,
    )

    header = read_header(source_of(raw, payload))

    assert header.name == "byhand"
    assert header.version == 0x20000000
    assert header.payload_bytes == len(payload)
    assert header.has_wide_table
    assert (header.model_type, header.model_num) == (1, 1)
    assert header.needs_os_cpu_check
    assert header.is_unknown_model


def test_the_wide_table_ignores_offsets_and_padding() -> None:
    """Data follow the table in its order, whatever offsets and padding say."""
    payload = wide((8, b"in"), (0, b"model"), (2, b""), pad=8)
    source = source_of(header_bytes(model_length=len(payload)), payload)

    parts = read_partitions(source, read_header(source))

    assert [(p.kind, p.size_bytes) for p in parts] == [(8, 2), (0, 5), (2, 0)]
    assert source.read(parts[1].offset_bytes, parts[1].size_bytes) == b"model"


def test_the_narrow_table_goes_with_the_old_length() -> None:
    """A file that fills the 32-bit length has entries of 12 bytes and no padding."""
    payload = struct.pack("<IIIIIII", 2, 0, 99, 5, 1, 99, 3) + b"model" + b"wts"
    source = source_of(header_bytes(length=len(payload)), payload)

    parts = read_partitions(source, read_header(source))

    assert [source.read(p.offset_bytes, p.size_bytes) for p in parts] == [b"model", b"wts"]


def test_a_flow_model_has_a_wide_table_whatever_its_length() -> None:
    """The type of the model decides before the length does."""
    payload = wide((0, b"model"), (6, b"flow"), (7, b"sub"), (7, b"sub"))
    source = source_of(header_bytes(length=len(payload), modeltype=3), payload)

    parts = read_partitions(source, read_header(source))

    assert [p.kind_name for p in parts] == ["MODEL_DEF", "FLOW_MODEL"] + ["FLOW_SUBMODEL"] * 2


def test_the_next_table_follows_the_data_before_it() -> None:
    """Several models stand one behind the other."""
    payload = wide((0, b"first")) + wide((0, b"second"), (1, b"w"))
    source = source_of(header_bytes(model_length=len(payload), model_num=2), payload)

    parts = read_partitions(source, read_header(source))

    assert [(p.model_index, p.size_bytes) for p in parts] == [(0, 5), (1, 6), (1, 1)]


@pytest.mark.parametrize(
    ("start", "advice"),
    [
        (b"fake om", "convert the model with ATC"),
        (b"\x08\x07\x12\x07pytorch", "convert the model with ATC"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\x03\x04....", "unpack it first"),
        (b"\x1f\x8b\x08\x00", "unpack it first"),
        (b"<!DOCTYPE html>", "download the model again"),
        (b"", "copy it again"),
    ],
)
def test_other_files_are_told_what_they_are(start: bytes, advice: str) -> None:
    """What is not an OM is refused with the step that helps."""
    with pytest.raises(NotAnOm, match=advice):
        read_header(source_of(start))


def test_a_file_shorter_than_its_header_says_is_truncated() -> None:
    """One byte less than promised is an upload that broke off."""
    payload = wide((0, b"model"))

    with pytest.raises(TruncatedOm, match=r"295 bytes and its header says 296.*copy it again"):
        read_header(source_of(header_bytes(model_length=len(payload) + 3), payload, b"ab"))


def test_a_file_longer_than_its_header_says_is_malformed() -> None:
    """Something that was appended is refused, as the loader would."""
    payload = wide((0, b"model"))

    with pytest.raises(MalformedOm, match="something was appended"):
        read_header(source_of(header_bytes(model_length=len(payload)), payload, b"x"))


def test_an_encrypted_model_is_refused_by_name() -> None:
    """Encryption is told from damage."""
    payload = b"ciphertext"

    with pytest.raises(EncryptedOm, match="without encryption"):
        read_header(source_of(header_bytes(model_length=10, is_encrypt=1), payload))


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (struct.pack("<II", 0, 0), "lists 0 parts"),
        (struct.pack("<II", 1 << 31, 0), "which no model has"),
        (struct.pack("<II", 2, 0) + bytes(24), "where the table of parts"),
        (b"\x01", "where the table of parts"),
        (struct.pack("<IIIIQQ", 1, 0, 0, 0, 0, (1 << 63) - 1), "are left"),
    ],
)
def test_a_table_that_does_not_fit_is_malformed(payload: bytes, said: str) -> None:
    """Counts and sizes past the end of the file are refused before anything is read."""
    source = source_of(header_bytes(model_length=len(payload)), payload)
    header = read_header(source)

    with pytest.raises(MalformedOm, match=said):
        read_partitions(source, header)


def test_a_header_of_another_size_is_malformed() -> None:
    """The header has one size only."""
    with pytest.raises(MalformedOm, match="gives its own size as 128"):
        read_header(source_of(header_bytes(headsize=128)))
