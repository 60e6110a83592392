"""What a request for a batch asks for."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.batches.batch import Sampling, SourceKind
from webapp.batch_request import parse_fields, source_kind, take_urls
from webapp.refusals import InvalidField, UnsupportedContent


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("application/zip", SourceKind.ARCHIVE),
        ("application/x-zip-compressed", SourceKind.ARCHIVE),
        ("application/json", SourceKind.URLS),
        ("video/mp4", SourceKind.VIDEO),
        ("video/x-matroska", SourceKind.VIDEO),
    ],
)
def test_the_content_type_says_what_it_is(media_type: str, kind: SourceKind) -> None:
    """An archive, a list, or any kind of video."""
    assert source_kind(media_type) is kind


@pytest.mark.parametrize("media_type", ["", "image/jpeg", "multipart/form-data", "text/plain"])
def test_any_other_content_is_refused(media_type: str) -> None:
    """The answer says what is taken."""
    with pytest.raises(UnsupportedContent, match="application/zip"):
        source_kind(media_type)


@pytest.mark.parametrize(
    ("fields", "sampling"),
    [
        ({}, Sampling(every_s=1.0)),
        ({"every_frames": "10"}, Sampling(every_frames=10)),
        ({"every_s": "0.25"}, Sampling(every_s=0.25)),
    ],
)
def test_a_video_is_sampled_as_asked(fields: dict[str, Any], sampling: Sampling) -> None:
    """One frame in a second, unless something else is wanted; the rest are the job's fields."""
    parsed = parse_fields({"model": "echo"} | fields, SourceKind.VIDEO)

    assert (parsed.sampling, parsed.job) == (sampling, {"model": "echo"})


@pytest.mark.parametrize(
    ("fields", "kind", "field"),
    [
        ({"every_s": "1"}, SourceKind.ARCHIVE, "every_s"),
        ({"every_frames": "1"}, SourceKind.URLS, "every_frames"),
        ({"every_s": "1", "every_frames": "1"}, SourceKind.VIDEO, "every_frames"),
        *(
            ({"every_frames": value}, SourceKind.VIDEO, "every_frames")
            for value in ("0", "-1", "1.5", "x", "", "9999999999999", "١")
        ),
        *(
            ({"every_s": value}, SourceKind.VIDEO, "every_s")
            for value in ("0", "-1", "nan", "inf", "x", "1e9", True)
        ),
    ],
)
def test_a_sampling_that_makes_no_sense_is_refused(
    fields: dict[str, Any], kind: SourceKind, field: str
) -> None:
    """The answer names the field."""
    with pytest.raises(InvalidField) as caught:
        parse_fields(fields, kind)

    assert caught.value.field == field


def test_urls_are_taken_out_of_the_body() -> None:
    """What is left are the job's fields; the same URL may come twice."""
    document = {"urls": ["http://a/", "http://a/"], "model": "echo"}

    assert take_urls(document, items_max=2) == ["http://a/", "http://a/"]
    assert document == {"model": "echo"}


@pytest.mark.parametrize(
    ("urls", "field"),
    [
        (None, "urls"),
        ([], "urls"),
        ("http://a/", "urls"),
        (["a"] * 3, "urls"),
        (["a", 1], "urls[1]"),
        (["", "a"], "urls[0]"),
        (["a" * 5000], "urls[0]"),
    ],
)
def test_a_list_that_is_none_is_refused(urls: object, field: str) -> None:
    """Missing, empty, too long, or with something else in it."""
    with pytest.raises(InvalidField) as caught:
        take_urls({"urls": urls}, items_max=2)

    assert caught.value.field == field
