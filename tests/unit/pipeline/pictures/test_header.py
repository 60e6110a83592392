"""The header reader against pictures of every accepted kind, of other kinds, and of no kind."""

from __future__ import annotations

import io
import struct
import time
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import InvalidPicture
from pipeline.pictures.header import (
    PictureFormat,
    check_complete,
    exif_orientation,
    read_picture_header,
)

WIDTH_PX, HEIGHT_PX = 57, 31


def encoded(
    kind: str, *, mode: str = "RGB", orientation: int | None = None, **options: Any
) -> bytes:
    """Encode a gradient of 57 x 31 pixels."""
    picture = Image.linear_gradient("L").resize((WIDTH_PX, HEIGHT_PX)).convert(mode)
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Build one PNG chunk with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_claiming(width_px: int, height_px: int) -> bytes:
    """Build a complete PNG whose header claims a size and whose pixels are missing."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(b""))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + png_chunk(b"IEND", b"")


def jpeg_segment(marker: int, body: bytes) -> bytes:
    """Build one JPEG segment with its length."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def jpeg_of(*segments: bytes) -> bytes:
    """Build a JPEG of the given segments, with an end marker."""
    return b"\xff\xd8" + b"".join(segments) + b"\xff\xd9"


FRAME = jpeg_segment(0xC0, struct.pack(">BHHB", 8, HEIGHT_PX, WIDTH_PX, 1) + b"\x01\x11\x00")
SCAN = jpeg_segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"\x12\x34"

COMPLETE = {
    "jpeg": encoded("JPEG"),
    "jpeg-grey": encoded("JPEG", mode="L"),
    "jpeg-cmyk": encoded("JPEG", mode="CMYK"),
    "jpeg-progressive": encoded("JPEG", progressive=True),
    "jpeg-made-by-hand": jpeg_of(FRAME, SCAN),
    "png": encoded("PNG"),
    "png-alpha": encoded("PNG", mode="RGBA"),
    "png-palette": encoded("PNG", mode="P"),
    "png-animated": encoded("PNG", save_all=True, append_images=[Image.new("RGB", (57, 31))]),
    "bmp": encoded("BMP"),
    "bmp-1-bit": encoded("BMP", mode="1"),
    "bmp-palette": encoded("BMP", mode="P"),
    "webp-lossy": encoded("WEBP"),
    "webp-lossless": encoded("WEBP", lossless=True),
    "webp-extended": encoded("WEBP", mode="RGBA", orientation=1),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_reads_format_and_size(name: str) -> None:
    """Every accepted kind tells its format and size, and counts as complete."""
    header = read_picture_header(COMPLETE[name])

    check_complete(COMPLETE[name], header)
    assert header.format == name.split("-", maxsplit=1)[0]
    assert (header.width_px, header.height_px) == (WIDTH_PX, HEIGHT_PX)
    assert header.orientation == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_that_of_the_upright_picture(kind: str, orientation: int) -> None:
    """Orientations that lay the picture on its side swap the two sides; the stored size stays."""
    header = read_picture_header(encoded(kind, orientation=orientation))

    upright = (WIDTH_PX, HEIGHT_PX) if orientation < 5 else (HEIGHT_PX, WIDTH_PX)
    assert header.orientation == orientation
    assert (header.width_px, header.height_px) == upright
    assert header.stored_size_px == (WIDTH_PX, HEIGHT_PX)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "value", "expected"), [(3, 6, 6), (3, 0, 1), (3, 9, 1), (4, 6, 1)]
)
def test_orientation_out_of_range_counts_as_upright(
    order: str, kind: int, value: int, expected: int
) -> None:
    """Only a short of 1 to 8 is an orientation, in either byte order."""
    start = b"II*\x00" if order == "<" else b"MM\x00*"
    entry = struct.pack(f"{order}HHIHH", 0x0112, kind, 1, value, 0)

    assert exif_orientation(start + struct.pack(f"{order}IH", 8, 1) + entry) == expected


def test_orientation_of_a_cut_off_block_is_upright() -> None:
    """A block whose directory lies outside it counts as upright."""
    assert exif_orientation(b"II*\x00" + struct.pack("<I", 0xFFFFFFF0)) == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\x89PNG", "too short: 4 bytes"),
        (encoded("GIF"), "A GIF was sent; JPEG, PNG, BMP and WebP are taken"),
        (encoded("TIFF"), "A TIFF was sent"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3 and more", "A PDF was sent"),
        (b"<?xml version='1.0'?>\n<svg xmlns='x'></svg>", "An SVG was sent"),
        (b"  <!DOCTYPE html><html><p>Not found</p>", "An HTML page was sent"),
        (b"data:image/png;base64,iVBORw0KGgo=", "A data URL was sent"),
        (b"/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBg", "Base64 text was sent"),
        ("图片在哪里？没有图片。".encode(), "Text was sent"),
        (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", "An AVIF was sent"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", "A HEIC was sent"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00", "A video was sent"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "A RIFF file other than WebP was sent"),
        (b"\x07\x01\x02\x03" * 8, "A file of unknown format was sent"),
        (png_claiming(0, 5), "has no pixels: 0 x 5"),
        (png_claiming(2**31, 5), "does not allow"),
        (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IDAT", bytes(13)), "begin with its header chunk"),
        (jpeg_of(FRAME.replace(b"\x00\x1f\x00\x39", b"\x00\x00\x00\x39"), SCAN), "has no pixels"),
        (jpeg_of(SCAN), "no frame header"),
        (jpeg_of(FRAME), "ends before its pixels"),
        (jpeg_of(FRAME.replace(b"\xff\xc0", b"\xff\xc9"), SCAN), "arithmetic"),
        (jpeg_of(FRAME.replace(b"\x0b\x08", b"\x0b\x0c"), SCAN), "12 bits per sample"),
        (jpeg_of(b"\xff\xe0\x00\x01"), "impossible length"),
        (encoded("JPEG")[:100], "JPEG ends inside its header"),
        (encoded("BMP")[:20], "BMP ends inside its header"),
        (encoded("WEBP")[:22], "WebP ends inside its header"),
        (b"RIFF\x0c\x00\x00\x00WEBPJUNK\x00\x00\x00\x00", "unknown chunk"),
        (
            encoded("WEBP", save_all=True, append_images=[Image.new("RGB", (57, 31))]),
            "WebP is animated",
        ),
    ],
)
def test_refuses_by_name(data: bytes, reason: str) -> None:
    """Each thing that is no accepted picture is refused with a sentence that says what it is."""
    with pytest.raises(InvalidPicture, match=reason):
        read_picture_header(data)


@pytest.mark.parametrize("name", COMPLETE)
def test_every_cut_is_noticed(name: str) -> None:
    """Whatever is missing at the end, the header or the completeness check says so."""
    data = COMPLETE[name]
    # Of an uncompressed or a chunked file every byte counts; of a JPEG, the end marker's second.
    for length_bytes in range(len(data)):
        cut = data[:length_bytes]
        with pytest.raises(InvalidPicture):
            check_complete(cut, read_picture_header(cut))


@pytest.mark.parametrize("name", COMPLETE)
def test_bytes_behind_the_end_are_allowed(name: str) -> None:
    """A complete picture with a trailer is complete."""
    data = COMPLETE[name] + b"trailer" * 9

    check_complete(data, read_picture_header(data))


def test_the_end_of_a_thumbnail_is_not_the_end() -> None:
    """A cut-off JPEG whose Exif segment holds a whole thumbnail counts as cut off."""
    thumbnail = jpeg_segment(0xE1, b"Exif\x00\x00" + COMPLETE["jpeg"])
    whole = jpeg_of(thumbnail, FRAME, SCAN)

    check_complete(whole, read_picture_header(whole))
    with pytest.raises(InvalidPicture, match="JPEG is cut off: its end marker is missing"):
        check_complete(whole[:-2], read_picture_header(whole))


def test_fill_and_stray_bytes_between_segments_are_stepped_over() -> None:
    """What libjpeg steps over, the reader steps over."""
    header = read_picture_header(jpeg_of(b"\xff" * 900, FRAME, b"\x00\x07", SCAN))

    assert (header.width_px, header.height_px) == (WIDTH_PX, HEIGHT_PX)


def test_bmp_from_the_top_down_has_a_positive_height() -> None:
    """A negative height in a BMP is the order of its rows."""
    data = bytearray(COMPLETE["bmp"])
    struct.pack_into("<i", data, 22, -HEIGHT_PX)

    header = read_picture_header(bytes(data))

    check_complete(bytes(data), header)
    assert header.height_px == HEIGHT_PX


def test_bmp_with_the_old_short_header() -> None:
    """The 12-byte header of OS/2 is read too."""
    pixels = bytes(4 * 2)
    data = struct.pack("<2sIHHI", b"BM", 34, 0, 0, 26) + struct.pack("<IHHHH", 12, 1, 2, 1, 24)

    header = read_picture_header(data + pixels)

    check_complete(data + pixels, header)
    assert (header.format, header.width_px, header.height_px) == (PictureFormat.BMP, 1, 2)


def test_a_gigantic_claim_is_read_without_being_believed() -> None:
    """A few bytes that claim 20000 x 20000 pixels give that size, for the caller to refuse."""
    header = read_picture_header(png_claiming(20_000, 20_000))

    assert (header.width_px, header.height_px) == (20_000, 20_000)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff" * 4_000_000,
        b"\xff\xd8\xff" + b"\xe0\x00\x02\xff" * 1_000_000,
        b"\xff\xd8\xff\xe0\x00\x02" + b"\x00" * 4_000_000,
        b"\xff\xd8\xff\xe0\x00\x02" + b"\xff\xd0" * 2_000_000,
        png_claiming(1, 1)[:33] + png_chunk(b"tEXt", b"") * 300_000,
        b"\xff\xd8" + jpeg_segment(0xE1, b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff" * 4),
    ],
    ids=["fill", "segments", "stray", "restarts", "chunks", "entries"],
)
def test_work_is_bounded(data: bytes) -> None:
    """Bytes made of tiny segments are refused within moments."""
    started_s = time.perf_counter()

    with pytest.raises(InvalidPicture):
        read_picture_header(data)

    assert time.perf_counter() - started_s < 2


def settles(data: bytes) -> None:
    """Read and check; nothing but InvalidPicture may come out."""
    try:
        header = read_picture_header(data)
        check_complete(data, header)
    except InvalidPicture:
        return
    assert header.width_px > 0
    assert header.height_px > 0
    assert 1 <= header.orientation <= 8


STARTS = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF\x00\x00\x00\x00WEBPVP8X", b""]


@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=300))
@example(start=b"RIFF\x00\x00\x00\x00WEBPVP8L", rest=b"")
def test_no_bytes_raise_anything_else(start: bytes, rest: bytes) -> None:
    """Any bytes behind any signature either give a header or are refused."""
    settles(start + rest)


@given(
    name=st.sampled_from(sorted(COMPLETE)),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8),
    length_bytes=st.integers(0, 2000),
)
def test_no_damage_raises_anything_else(
    name: str, changes: list[tuple[int, int]], length_bytes: int
) -> None:
    """Any damage to a real picture either leaves a header or is refused."""
    data = bytearray(COMPLETE[name])
    for position, value in changes:
        data[position % len(data)] = value

    settles(bytes(data[:length_bytes]))
