"""What a picture says about itself in its first bytes: format, size, orientation, completeness.

Standard library only, and nothing is decompressed: a header that claims 20000 x 20000 costs no
more to read than any other. The webapp asks before it accepts, the dispatcher before it decodes.
Whatever the bytes are, only InvalidPicture is raised, and the work is bounded.

Sources: ITU-T T.81 annex B (JPEG markers), Exif 2.32 section 4.6 (orientation), PNG third edition
sections 5 and 11, RFC 9649 (WebP), the BITMAPINFOHEADER page of the Windows documentation (BMP).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum

from pipeline.errors import InvalidPicture
from pipeline.pictures import foreign_formats, jpeg_segments

#: How error messages name what is taken.
ACCEPTED_FORMATS_TEXT = "JPEG, PNG, BMP and WebP"

# Bounds on the walks, so that bytes made of tiny segments cost no more than a real picture.
# A 64 MB PNG in libpng's usual 8 kB chunks has 8,192.
_MAX_PNG_CHUNKS = 65_536
_MAX_WEBP_CHUNKS = 4_096
_MAX_EXIF_ENTRIES = 512

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
_JPEG_END = b"\xff\xd9"

_JPEG_COMPONENTS = frozenset({1, 3, 4})

_BMP_UNCOMPRESSED = frozenset({0, 3, 6})
_BMP_RUN_LENGTH = frozenset({1, 2})
_BMP_BITS = frozenset({1, 4, 8, 16, 24, 32})

_WEBP_ANIMATION_FLAG = 0x02
_WEBP_EXIF_FLAG = 0x08


class PictureFormat(StrEnum):
    """A picture format that gw takes. The value is the word in records and answers."""

    JPEG = "jpeg"
    PNG = "png"
    BMP = "bmp"
    WEBP = "webp"


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHeader:
    """What the first bytes say.

    *width_px* and *height_px* are those of the upright picture, after *orientation* (Exif 1..8) is
    applied: the same pixels that findings count in. *stored_size_px* is the size before.
    """

    format: PictureFormat
    width_px: int
    height_px: int
    orientation: int = 1

    @property
    def stored_size_px(self) -> tuple[int, int]:
        """Give (width, height) as stored: orientations 5 to 8 swap the two."""
        if self.orientation >= 5:
            return self.height_px, self.width_px
        return self.width_px, self.height_px


def read_picture_header(data: bytes) -> PictureHeader:
    """Read format, size and orientation; raises InvalidPicture with one sentence for all else.

    Costs a few microseconds. Tells nothing of what lies behind the header: see check_complete.
    An animated PNG counts as the PNG it also is; an animated WebP has no such still and is refused.
    """
    if not data:
        raise InvalidPicture("The picture is empty.")
    name = "picture"
    try:
        if data.startswith(b"\xff\xd8\xff"):
            name = "JPEG"
            return _read_jpeg(data)
        if data.startswith(_PNG_SIGNATURE):
            name = "PNG"
            return _read_png(data)
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            name = "WebP"
            return _read_webp(data)
        if data.startswith(b"BM"):
            name = "BMP"
            return _read_bmp(data)
    except (struct.error, IndexError) as exc:
        raise InvalidPicture(f"The {name} ends inside its header.") from exc
    if len(data) < 12:
        raise InvalidPicture(f"The picture is too short: {len(data)} bytes.")
    what = foreign_formats.describe(data)
    raise InvalidPicture(f"{what} was sent; {ACCEPTED_FORMATS_TEXT} are taken.")


def check_complete(data: bytes, header: PictureHeader) -> None:
    """Raise InvalidPicture if *data* is shorter than its own structure declares.

    *header* is what read_picture_header gave for *data*. A JPEG needs its end marker after the
    pixels, a PNG its last chunk, a WebP and a BMP as many bytes as they announce. Bytes behind
    the end are allowed. Damage in the middle shows only when the pixels are decoded.
    """
    try:
        match header.format:
            case PictureFormat.JPEG:
                complete = data.endswith(_JPEG_END) or jpeg_end_offset(data) >= 0
                missing = "its end marker is missing"
            case PictureFormat.PNG:
                complete = data.endswith(_PNG_END) or _png_has_end(data)
                missing = "its last chunk is missing"
            case PictureFormat.BMP:
                declared_bytes = _bmp_declared_bytes(data)
                complete = len(data) >= declared_bytes
                missing = f"it needs {declared_bytes} bytes and has {len(data)}"
            case PictureFormat.WEBP:
                declared_bytes = 8 + int.from_bytes(data[4:8], "little")
                complete = len(data) >= declared_bytes
                missing = f"it declares {declared_bytes} bytes and has {len(data)}"
    except (struct.error, IndexError) as exc:
        raise InvalidPicture(f"The {header.format.upper()} ends inside its header.") from exc
    if not complete:
        raise InvalidPicture(f"The {header.format.upper()} is cut off: {missing}.")


def jpeg_end_offset(data: bytes) -> int:
    """Find the end marker behind the pixels of a JPEG that read_picture_header took; -1 if none.

    Within the pixels the marker's two bytes cannot occur, and thumbnails lie before them.
    """
    return data.find(_JPEG_END, jpeg_segments.scan_offset(data))


def _header(
    picture_format: PictureFormat, stored_width_px: int, stored_height_px: int, orientation: int = 1
) -> PictureHeader:
    """Build the header of an upright picture; raises InvalidPicture for a side of zero."""
    if stored_width_px <= 0 or stored_height_px <= 0:
        raise InvalidPicture(
            f"The {picture_format.upper()} has no pixels: {stored_width_px} x {stored_height_px}."
        )
    width_px, height_px = stored_width_px, stored_height_px
    if orientation >= 5:
        width_px, height_px = height_px, width_px
    return PictureHeader(
        format=picture_format, width_px=width_px, height_px=height_px, orientation=orientation
    )


def _read_jpeg(data: bytes) -> PictureHeader:
    """Walk the markers up to the first scan."""
    size: tuple[int, int] | None = None
    orientation = 0
    position = 2
    for _ in range(jpeg_segments.MAX_MARKERS):
        position, marker, length_bytes = jpeg_segments.next_segment(data, position)
        if marker in jpeg_segments.FRAMES:
            size = _jpeg_frame_size(data, position)
        elif marker in jpeg_segments.OTHER_FRAMES:
            raise InvalidPicture(
                "The JPEG uses a lossless, hierarchical or arithmetic coding that is not taken."
            )
        elif marker == jpeg_segments.EXIF_SEGMENT and not orientation:
            if data[position + 2 : position + 8] == b"Exif\x00\x00":
                orientation = exif_orientation(data[position + 8 : position + length_bytes])
        elif marker == jpeg_segments.START_OF_SCAN:
            if size is None:
                raise InvalidPicture("The JPEG has pixels but no frame header.")
            return _header(PictureFormat.JPEG, *size, orientation or 1)
        position += length_bytes
    raise InvalidPicture("The JPEG has too many segments before its pixels.")


def _jpeg_frame_size(data: bytes, position: int) -> tuple[int, int]:
    """Read (width, height) from the frame header whose length field is at *position*."""
    bits, height_px, width_px, components = struct.unpack_from(">BHHB", data, position + 2)
    if bits != 8:
        raise InvalidPicture(f"The JPEG has {bits} bits per sample; only 8 are taken.")
    if components not in _JPEG_COMPONENTS:
        raise InvalidPicture(f"The JPEG has {components} components; only 1, 3 or 4 are taken.")
    return width_px, height_px


def exif_orientation(tiff: bytes) -> int:
    """Give the orientation tag (1..8) of an Exif block; 1 where it is absent or makes no sense."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, directory)
        for index in range(min(count, _MAX_EXIF_ENTRIES)):
            tag, kind, _, value = struct.unpack_from(
                f"{order}HHIH", tiff, directory + 2 + 12 * index
            )
            if tag == 0x0112:
                return int(value) if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _read_png(data: bytes) -> PictureHeader:
    length_bytes, kind, width_px, height_px = struct.unpack_from(">I4sII", data, 8)
    if kind != b"IHDR" or length_bytes != 13:
        raise InvalidPicture("The PNG does not begin with its header chunk.")
    if max(width_px, height_px) > 0x7FFF_FFFF:
        raise InvalidPicture("The PNG declares a size that the format does not allow.")
    orientation = 1
    exif = _find_png_chunk(data, b"eXIf")
    if exif is not None:
        offset, length_bytes = exif
        orientation = exif_orientation(data[offset : offset + length_bytes])
    return _header(PictureFormat.PNG, width_px, height_px, orientation)


def _find_png_chunk(data: bytes, wanted: bytes) -> tuple[int, int] | None:
    """Find the first chunk of kind *wanted*: (offset, length) of its data, or None.

    The walk stops at the end chunk, at the end of *data*, and past a bound on the chunks.
    """
    position = 8
    for _ in range(_MAX_PNG_CHUNKS):
        if position + 8 > len(data):
            return None
        length_bytes, kind = struct.unpack_from(">I4s", data, position)
        if kind == wanted:
            return position + 8, length_bytes
        if kind == b"IEND":
            return None
        position += 12 + length_bytes
    raise InvalidPicture("The PNG has too many chunks.")


def _png_has_end(data: bytes) -> bool:
    end = _find_png_chunk(data, b"IEND")
    return end is not None and end[0] + end[1] + 4 <= len(data)


def _read_bmp(data: bytes) -> PictureHeader:
    width_px, height_px, bits, compression, _ = _bmp_fields(data)
    if bits not in _BMP_BITS or compression not in _BMP_UNCOMPRESSED | _BMP_RUN_LENGTH:
        raise InvalidPicture(
            f"The BMP has {bits} bits per pixel in compression {compression}, which is not taken."
        )
    if width_px < 0:
        raise InvalidPicture("The BMP has a negative width.")
    return _header(PictureFormat.BMP, width_px, abs(height_px))


def _bmp_fields(data: bytes) -> tuple[int, int, int, int, int]:
    """Read (width, height, bits per pixel, compression, bytes of pixels if declared).

    A negative height means rows from the top down.
    """
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:
        width_px, height_px, _, bits = struct.unpack_from("<HHHH", data, 18)
        return width_px, height_px, bits, 0, 0
    if not 40 <= header_bytes <= 124:
        raise InvalidPicture(f"The BMP has a header of unknown length: {header_bytes} bytes.")
    width_px, height_px, _, bits, compression, pixels_bytes = struct.unpack_from(
        "<iiHHII", data, 18
    )
    return width_px, height_px, bits, compression, pixels_bytes


def _bmp_declared_bytes(data: bytes) -> int:
    """Tell how long the file must be. The file's own length field is not trusted: many write 0."""
    (offset_bytes,) = struct.unpack_from("<I", data, 10)
    width_px, height_px, bits, compression, pixels_bytes = _bmp_fields(data)
    if compression in _BMP_UNCOMPRESSED:
        row_bytes = (width_px * bits + 31) // 32 * 4
        pixels_bytes = row_bytes * abs(height_px)
    return int(offset_bytes + pixels_bytes)


def _read_webp(data: bytes) -> PictureHeader:
    match data[12:16]:
        case b"VP8 ":
            frame_tag, start_code, width_px, height_px = struct.unpack_from("<B2x3sHH", data, 20)
            if frame_tag & 1 or start_code != b"\x9d\x01\x2a":
                raise InvalidPicture("The WebP does not begin with a key frame.")
            return _header(PictureFormat.WEBP, width_px & 0x3FFF, height_px & 0x3FFF)
        case b"VP8L":
            signature, packed = struct.unpack_from("<BI", data, 20)
            if signature != 0x2F:
                raise InvalidPicture("The WebP has a lossless frame without its signature.")
            return _header(PictureFormat.WEBP, (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1)
        case b"VP8X":
            return _read_extended_webp(data)
        case _:
            raise InvalidPicture("The WebP begins with an unknown chunk.")


def _read_extended_webp(data: bytes) -> PictureHeader:
    flags, size = struct.unpack_from("<B3x6s", data, 20)
    if flags & _WEBP_ANIMATION_FLAG:
        raise InvalidPicture("The WebP is animated; send one of its frames.")
    orientation = _webp_orientation(data) if flags & _WEBP_EXIF_FLAG else 1
    width_px = int.from_bytes(size[:3], "little") + 1
    height_px = int.from_bytes(size[3:], "little") + 1
    return _header(PictureFormat.WEBP, width_px, height_px, orientation)


def _webp_orientation(data: bytes) -> int:
    """Find the Exif chunk, which follows the pixels, and read its orientation."""
    position = 12
    for _ in range(_MAX_WEBP_CHUNKS):
        if position + 8 > len(data):
            break
        kind, length_bytes = struct.unpack_from("<4sI", data, position)
        if kind == b"EXIF":
            block = data[position + 8 : position + 8 + length_bytes]
            return exif_orientation(block.removeprefix(b"Exif\x00\x00"))
        position += 8 + length_bytes + length_bytes % 2
    return 1
