"""Telling by its first bytes whether a file is a video of a kind that is taken.

Playlists and other text are none: a decoder that follows one would open what it names. Sources:
ISO/IEC 14496-12, RFC 8794 (EBML), RIFF, ISO/IEC 13818-1.
"""

from __future__ import annotations

from typing import Final

#: So much of a file is looked at.
HEAD_BYTES: Final = 4096

_TS_PACKET_BYTES: Final = 188
_MP4_BOXES: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


def video_format(head: bytes) -> str:
    """Give the container's word, "" where it is none that is taken.

    >>> video_format(b"RIFF1234AVI LIST")
    'avi'
    """
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "avi"
    if head.startswith(b"\x00\x00\x01\xba"):
        return "mpeg-ps"
    packets = range(0, min(len(head), 5 * _TS_PACKET_BYTES), _TS_PACKET_BYTES)
    if len(packets) == 5 and all(head[at] == 0x47 for at in packets):
        return "mpeg-ts"
    return ""
