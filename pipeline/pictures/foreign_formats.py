"""Names for bytes that are no picture gw takes, so that a refusal can say what was sent instead."""

from __future__ import annotations

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "A GIF"),
    (b"II*\x00", "A TIFF"),
    (b"MM\x00*", "A TIFF"),
    (b"II+\x00", "A TIFF"),
    (b"MM\x00+", "A TIFF"),
    (b"%PDF", "A PDF"),
    (b"\x00\x00\x00\x0cJXL ", "A JPEG XL"),
    (b"\xff\x0a", "A JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "A JPEG 2000"),
    (b"\xff\x4f\xff\x51", "A JPEG 2000"),
    (b"\x00\x00\x01\x00", "An icon"),
    (b"8BPS", "A PSD"),
    (b"PK\x03\x04", "A ZIP archive"),
    (b"\x1f\x8b", "A gzip file"),
    (b"\x1aE\xdf\xa3", "A video"),
    (b"RIFF", "A RIFF file other than WebP"),
)

_TEXT_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"data:", "A data URL"),
    (b"/9j/", "Base64 text"),
    (b"ivborw0kggo", "Base64 text"),
    (b"<!doctype html", "An HTML page"),
    (b"<html", "An HTML page"),
)

#: How far the beginning is read to tell text from other bytes.
_HEAD_BYTES = 1024
_TEXT_CONTROL_BYTES = b"\t\n\r\x0c"


def describe(data: bytes) -> str:
    """Name what *data* is, with its article: ``A GIF``, ``Text``; never part of its content."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[4:8] == b"ftyp":
        return _describe_iso_media(data[8:12])
    head = data[:_HEAD_BYTES].removeprefix(b"\xef\xbb\xbf")
    if any(byte < 0x20 and byte not in _TEXT_CONTROL_BYTES for byte in head):
        return "A file of unknown format"
    return _describe_text(head.lstrip().lower())


def _describe_iso_media(brand: bytes) -> str:
    if brand.startswith(b"avi"):
        return "An AVIF"
    if brand.startswith((b"hei", b"hev", b"mif", b"msf")):
        return "A HEIC"
    return "A video"


def _describe_text(head: bytes) -> str:
    if b"<svg" in head:
        return "An SVG"
    for start, name in _TEXT_STARTS:
        if head.startswith(start):
            return name
    return "Text"
