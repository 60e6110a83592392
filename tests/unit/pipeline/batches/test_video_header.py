"""Telling videos from what is none."""

from __future__ import annotations

import pytest

from pipeline.batches.video_header import video_format


@pytest.mark.parametrize(
    ("head", "form"),
    [
        (b"\x00\x00\x00\x18ftypmp42", "mp4"),
        (b"\x00\x00\x00\x08moov", "mp4"),
        (b"\x1a\x45\xdf\xa3\x01", "matroska"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "avi"),
        (b"\x00\x00\x01\xba\x44", "mpeg-ps"),
        ((b"\x47" + b"\0" * 187) * 5, "mpeg-ts"),
        ((b"\x47" + b"\0" * 187) * 4, ""),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", ""),
        (b"#EXTM3U\nhttp://127.0.0.1/", ""),
        (b"ffconcat version 1.0", ""),
        (b"\xff\xd8\xff\xe0", ""),
        (b"", ""),
    ],
)
def test_a_video_is_known_by_its_first_bytes(head: bytes, form: str) -> None:
    """Containers are taken; playlists, pictures and nothing are not."""
    assert video_format(head) == form
