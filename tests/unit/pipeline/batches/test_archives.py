"""Archives that nobody vouches for: honest ones, lying ones, and bytes turned at random."""

from __future__ import annotations

import io
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.batches.archives import Archive, ArchiveLimits, EntryFault, label
from pipeline.batches.batch import NAME_MAX_CHARACTERS, SourceFault

LIMITS = ArchiveLimits(entries_max=20, entry_max_bytes=100_000, total_max_bytes=1_000_000)


def zipped(
    *entries: tuple[str, bytes], compression: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    """Zip entries in their order."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        archive.comment = comment
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give where a test's archive lies."""
    return tmp_path / "archive.zip"


def refusal(path: Path, data: bytes, limits: ArchiveLimits = LIMITS) -> str:
    """Give the code with which an archive is refused as a whole."""
    path.write_bytes(data)
    with pytest.raises(SourceFault) as caught, Archive(path, limits):
        pass
    return caught.value.code


def fault(path: Path, data: bytes, limits: ArchiveLimits = LIMITS, index: int = 0) -> str:
    """Give the code with which an entry is refused."""
    path.write_bytes(data)
    with Archive(path, limits) as archive, pytest.raises(EntryFault) as caught:
        archive.read(index)
    return caught.value.code


def patched(data: bytes, signature: bytes, offset: int, fmt: str, value: int) -> bytes:
    """Overwrite a number behind the last *signature*."""
    changed = bytearray(data)
    struct.pack_into(fmt, changed, data.rindex(signature) + offset, value)
    return bytes(changed)


def test_entries_come_in_the_order_of_the_directory(path: Path) -> None:
    """Folders are no entries, and a name that comes twice is two."""
    path.write_bytes(zipped(("b/", b""), ("b/2.jpg", b"two"), ("a.jpg", b"one"), ("c.jpg", b"3")))

    with Archive(path, LIMITS) as archive:
        assert list(archive.names) == ["b/2.jpg", "a.jpg", "c.jpg"]
        assert [archive.read(index) for index in range(len(archive))] == [b"two", b"one", b"3"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("comment", [b"", b"x" * 65_535])
def test_what_honest_writers_write_is_read(path: Path, compression: int, comment: bytes) -> None:
    """Stored or deflated, with or without a comment of any length."""
    path.write_bytes(zipped(("a", b"data"), compression=compression, comment=comment))

    with Archive(path, LIMITS) as archive:
        assert archive.read(0) == b"data"


def test_a_zip64_archive_is_read(path: Path) -> None:
    """An archive that streams its sizes in zip64 fields is as good as any."""
    with zipfile.ZipFile(path, "w") as archive, archive.open("a", "w", force_zip64=True) as entry:
        entry.write(b"data")

    with Archive(path, LIMITS) as opened:
        assert opened.read(0) == b"data"


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip", zipped(("a", b"b"))[:-10]])
def test_what_is_no_archive_is_refused(path: Path, data: bytes) -> None:
    """Nothing, garbage, and an upload that was cut off."""
    assert refusal(path, data) == "unusable_source"


def test_an_archive_without_a_file_is_refused(path: Path) -> None:
    """Folders alone give no job."""
    assert refusal(path, zipped(("a/", b""))) == "unusable_source"


def test_too_many_entries_are_refused(path: Path) -> None:
    """Exactly the limit is taken."""
    path.write_bytes(zipped(*((f"{i}", b"x") for i in range(20))))
    with Archive(path, LIMITS) as archive:
        assert len(archive) == 20

    assert refusal(path, zipped(*((f"{i}", b"x") for i in range(21)))) == "too_many_items"
    assert refusal(path, zipped(*((f"{i}", b"x") for i in range(100)))) == "too_many_items"


def test_a_directory_that_does_not_fit_to_its_end_is_refused(path: Path) -> None:
    """A directory of another size than so many entries have is not read into memory."""
    data = zipped(("a", b"b"))

    assert refusal(path, patched(data, b"PK\x05\x06", 12, "<I", 5_000)) == "unusable_source"
    assert refusal(path, patched(data, b"PK\x05\x06", 12, "<I", 10)) == "unusable_source"
    assert refusal(path, patched(data, b"PK\x05\x06", 4, "<H", 7)) == "unusable_source"


def test_a_hidden_zip64_end_is_judged_too(path: Path) -> None:
    """A zip64 end that the plain one does not ask for is believed by zipfile, so it is checked."""
    data = zipped(("a", b"b"))
    end = data.rindex(b"PK\x05\x06")
    huge = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 10**6, 10**6, 10**9, 0)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)

    assert refusal(path, data[:end] + huge + locator + data[end:]) == "too_many_items"


def test_an_archive_that_inflates_to_too_much_is_refused(path: Path) -> None:
    """The sum of what the entries say of themselves is bounded."""
    assert refusal(path, zipped(*((f"{i}", b"\0" * 90_000) for i in range(12)))) == "zip_bomb"


def test_an_entry_that_inflates_too_far_is_refused(path: Path) -> None:
    """A bomb is known by its ratio, before any of it is inflated."""
    limits = ArchiveLimits(entries_max=9, entry_max_bytes=10**8, total_max_bytes=10**9)

    assert fault(path, zipped(("a", b"\0" * 5_000_000)), limits) == "zip_bomb"


def test_an_entry_that_is_too_large_is_refused(path: Path) -> None:
    """The bound of one entry is that of one picture; exactly as much is taken."""
    incompressible = bytes((i * i) % 251 for i in range(100_000))
    path.write_bytes(zipped(("a", incompressible)))
    with Archive(path, LIMITS) as archive:
        assert archive.read(0) == incompressible

    assert fault(path, zipped(("a", incompressible + b"x"))) == "entry_too_large"


def test_an_entry_that_lies_about_its_size_is_refused(path: Path) -> None:
    """What comes out is counted, whatever the directory says."""
    data = zipped(("a", b"\0" * 90_000), compression=zipfile.ZIP_STORED)

    assert fault(path, patched(data, b"PK\x01\x02", 24, "<I", 10)) == "damaged_entry"


def test_an_encrypted_entry_is_refused(path: Path) -> None:
    """Nobody has told us the password."""
    assert fault(path, patched(zipped(("a", b"b")), b"PK\x01\x02", 8, "<H", 1)) == "encrypted_entry"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93, 99])
def test_another_compression_is_refused(path: Path, method: int) -> None:
    """Only what every writer uses is taken."""
    data = patched(zipped(("a", b"b")), b"PK\x01\x02", 10, "<H", method)

    assert fault(path, data) == "unsupported_compression"


def test_an_archive_inside_is_not_opened(path: Path) -> None:
    """Nesting is how small bombs become large."""
    assert fault(path, zipped(("a.zip", zipped(("b", b"c"))))) == "nested_archive"


def test_a_damaged_entry_leaves_the_others(path: Path) -> None:
    """A checksum that is wrong fails its own entry."""
    data = patched(zipped(("a", b"one"), ("b", b"two")), b"PK\x01\x02", 16, "<I", 1)

    assert fault(path, data, index=1) == "damaged_entry"
    with Archive(path, LIMITS) as archive:
        assert archive.read(0) == b"one"


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "C:\\boot.ini", "a\0b", "…"])
def test_a_name_is_only_a_label(path: Path, name: str) -> None:
    """Nothing is ever written by an entry's name; it is shown as it is."""
    path.write_bytes(zipped((name, b"data")))

    with Archive(path, LIMITS) as archive:
        assert archive.read(0) == b"data"
        assert archive.names[0].isprintable()


@given(st.text())
def test_a_label_is_one_printable_line(name: str) -> None:
    """Whatever a name holds, its label can be shown, and is bounded."""
    shown = label(name)

    assert not shown or shown.isprintable()
    assert len(shown) <= NAME_MAX_CHARACTERS


SEED = zipped(("a.jpg", b"picture" * 50), ("b/", b""), ("b/c.png", bytes(range(256))), comment=b"!")


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, len(SEED) - 1), st.binary(min_size=1, max_size=8)), max_size=6
    ),
    st.integers(0, len(SEED)),
)
def test_no_bytes_break_the_reader(
    path: Path, changes: list[tuple[int, bytes]], length: int
) -> None:
    """Whatever is turned or cut off, the answer is bytes within the bounds, or a fault."""
    data = bytearray(SEED)
    for at, replacement in changes:
        data[at : at + len(replacement)] = replacement
    path.write_bytes(bytes(data[: length or None]))

    with suppress(SourceFault), Archive(path, LIMITS) as archive:
        for index in range(len(archive)):
            with suppress(EntryFault):
                assert len(archive.read(index)) <= LIMITS.entry_max_bytes
