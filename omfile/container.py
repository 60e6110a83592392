"""The container: a header of 256 bytes, then one table of parts per model, each with its data.

Two layouts of the table are in use. The wide one (64-bit offsets) goes with a header that fills
``model_length``, and with flow models; the narrow one with older files. The loader adds sizes up
and ignores the offsets in the table, and so does this.
"""

from __future__ import annotations

import struct

from omfile.errors import EncryptedOm, MalformedOm, NotAnOm, TruncatedOm
from omfile.facts import Header, Partition
from omfile.source import Source

HEADER_BYTES = 256
MAGIC = b"IMOD"
FILE_VERSION = 0x20000000
#: 62 bytes at the end are reserved.
HEADER = struct.Struct("<4sII64sIBBBB32sI32sII20sB3xQBB62x")
WIDE_TABLE = struct.Struct("<II")
WIDE_ENTRY = struct.Struct("<IIQQ")
NARROW_TABLE = struct.Struct("<I")
NARROW_ENTRY = struct.Struct("<III")

_FLOW_MODEL_TYPE = 3
# A file of a real model has under ten parts; one cut into hundreds of subgraphs, ten for each.
_MAX_PARTITIONS = 8192

_FOREIGN = (
    (b"version https://git-lfs", "a Git LFS pointer: run `git lfs pull` to fetch the model itself"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"PK\x03\x04", "a ZIP archive: unpack it first"),
    (b"<", "HTML or XML, perhaps the page of a failed download: download the model again"),
)


def read_header(source: Source) -> Header:
    """Read and check the header against the file's size.

    Raises NotAnOm, TruncatedOm, EncryptedOm or MalformedOm.
    """
    _check_magic(source)
    if source.size_bytes < HEADER_BYTES:
        raise TruncatedOm(
            f"the file ends at byte {source.size_bytes}, inside its {HEADER_BYTES}-byte header: "
            "copy it again, and compare sizes or checksums afterwards"
        )
    values = HEADER.unpack(source.read(0, HEADER_BYTES))
    (_, head_bytes, version, _, length, encrypted, _, model_type, _, name, _) = values[:11]
    (user_info, om_ir_version, model_num, platform_version, _, model_length) = values[11:17]
    needs_os_cpu_check, unknown_model = values[17:]
    if head_bytes != HEADER_BYTES:
        raise MalformedOm(
            f"the header gives its own size as {head_bytes} bytes instead of {HEADER_BYTES}: "
            "the file is damaged, copy it again"
        )
    header = Header(
        version=version,
        payload_bytes=model_length or length,
        has_wide_table=model_length != 0 or model_type == _FLOW_MODEL_TYPE,
        is_encrypted=encrypted == 1,
        model_type=model_type,
        name=_text(name),
        user_info=_text(user_info),
        om_ir_version=om_ir_version,
        model_num=max(model_num, 1),
        platform_version=_text(platform_version),
        needs_os_cpu_check=needs_os_cpu_check == 1,
        is_unknown_model=unknown_model == 1,
    )
    _check_length(header, source.size_bytes)
    if header.is_encrypted:
        raise EncryptedOm(
            "the model is encrypted, so nothing in it can be checked: "
            "provide the model without encryption"
        )
    return header


def read_partitions(source: Source, header: Header) -> tuple[Partition, ...]:
    """List the parts of every model in the file; raises MalformedOm where they do not fit."""
    partitions: list[Partition] = []
    at = HEADER_BYTES
    for model_index in range(header.model_num):
        kinds_and_sizes, at = _read_table(
            source, at, is_wide=header.has_wide_table, most=_MAX_PARTITIONS - len(partitions)
        )
        for kind, size_bytes in kinds_and_sizes:
            if at + size_bytes > source.size_bytes:
                raise MalformedOm(
                    f"part {kind} is said to have {size_bytes:,} bytes where "
                    f"{source.size_bytes - at:,} are left: the file is damaged, copy it again"
                )
            partitions.append(
                Partition(
                    kind=kind, offset_bytes=at, size_bytes=size_bytes, model_index=model_index
                )
            )
            at += size_bytes
    return tuple(partitions)


def _read_table(
    source: Source, at: int, *, is_wide: bool, most: int
) -> tuple[list[tuple[int, int]], int]:
    """Read the table at *at*; gives kinds and sizes, and where the data begin."""
    head, entry = (WIDE_TABLE, WIDE_ENTRY) if is_wide else (NARROW_TABLE, NARROW_ENTRY)
    end = at + head.size
    if end > source.size_bytes:
        raise _no_table(at)
    # What follows the count in the wide layout is padding, and may be anything.
    count = head.unpack(source.read(at, head.size))[0]
    if not 0 < count <= most:
        raise MalformedOm(
            f"the table at byte {at} lists {count:,} parts, which no model has: "
            "the file is damaged, copy it again"
        )
    if end + count * entry.size > source.size_bytes:
        raise _no_table(at)
    raw = source.read(end, count * entry.size)
    # The kind comes first and the size last in both layouts.
    found = [(values[0], values[-1]) for values in entry.iter_unpack(raw)]
    return found, end + count * entry.size


def _check_magic(source: Source) -> None:
    start = source.read(0, min(source.size_bytes, 32))
    if not start:
        raise NotAnOm("the file is empty: copy it again")
    if MAGIC.startswith(start[:4]):
        return
    for magic, what in _FOREIGN:
        if start.startswith(magic):
            raise NotAnOm(f"the file is not an OM model but {what}")
    raise NotAnOm(
        f"the file is not an OM model (it begins with {start[:4].hex(' ')}, an OM with "
        f"{MAGIC.hex(' ')}): convert the model with ATC and use the .om that it writes"
    )


def _check_length(header: Header, size_bytes: int) -> None:
    wanted = HEADER_BYTES + header.payload_bytes
    if size_bytes < wanted:
        raise TruncatedOm(
            f"the file has {size_bytes:,} bytes and its header says {wanted:,}: "
            "copy it again, and compare sizes or checksums afterwards"
        )
    if size_bytes > wanted:
        raise MalformedOm(
            f"the file has {size_bytes:,} bytes and its header says {wanted:,}: "
            "something was appended or the header is damaged, copy it again"
        )


def _no_table(at: int) -> MalformedOm:
    return MalformedOm(
        f"the file ends where the table of parts at byte {at} should be: "
        "the file is damaged, copy it again"
    )


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")
