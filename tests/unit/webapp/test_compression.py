"""Compressed bodies, in and out."""

from __future__ import annotations

import gzip
import zlib

import pytest

from pipeline.errors import CallerError
from webapp.compression import choose_coding, compress, decompress
from webapp.refusals import BodyTooLarge, InvalidField, UnsupportedContent

DATA = bytes(range(256)) * 9000


@pytest.mark.parametrize("coding", ["gzip", "deflate", ""])
def test_a_body_comes_back_as_it_was(coding: str) -> None:
    """Whatever it was packed with, in several steps."""
    assert decompress(compress(DATA, coding), coding, max_bytes=len(DATA)) == DATA


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_not_unpacked_past_the_limit(coding: str) -> None:
    """A hundred megabytes in a hundred kilobytes are refused after the first few."""
    bomb = compress(bytes(100 * 1024 * 1024), coding)
    with pytest.raises(BodyTooLarge):
        decompress(bomb, coding, max_bytes=3 * 1024 * 1024)


@pytest.mark.parametrize(
    ("data", "coding", "error"),
    [
        (gzip.compress(DATA)[:-9], "gzip", InvalidField),
        (gzip.compress(DATA), "deflate", InvalidField),
        (b"plain", "gzip", InvalidField),
        (b"", "gzip", InvalidField),
        (zlib.compress(DATA) + b"more", "deflate", InvalidField),
        (DATA, "br", UnsupportedContent),
        (DATA, "gzip, gzip", UnsupportedContent),
    ],
)
def test_a_damaged_body_is_refused(data: bytes, coding: str, error: type[CallerError]) -> None:
    """With what is wrong with it."""
    with pytest.raises(error):
        decompress(data, coding, max_bytes=len(DATA))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("", ""),
        ("gzip", "gzip"),
        ("GZIP;q=1.0", "gzip"),
        ("deflate, gzip;q=0.5", "deflate"),
        ("gzip;q=0, identity", ""),
        ("br, *", ""),
        ("gzip;q=much", ""),
    ],
)
def test_an_answer_is_packed_as_it_is_asked_for(accepted: str, coding: str) -> None:
    """By weight, and only with what is there."""
    assert choose_coding(accepted) == coding
