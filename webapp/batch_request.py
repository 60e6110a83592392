"""What a request for a batch asks for besides its source: its kind, sampling, the jobs' fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from egress.targets import MAX_URL_CHARACTERS
from pipeline.batches.batch import Sampling, SourceKind
from webapp.refusals import InvalidField, UnsupportedContent
from webapp.uploads import JSON_TYPE

ARCHIVE_TYPES: Final = ("application/zip", "application/x-zip-compressed")
_VIDEO_PREFIX: Final = "video/"

URLS_FIELD: Final = "urls"
EVERY_FRAMES: Final = "every_frames"
EVERY_S: Final = "every_s"

#: Of a video for which nothing else is asked: one frame in a second.
DEFAULT_SAMPLING: Final = Sampling(every_s=1.0)

_EVERY_FRAMES_MAX: Final = 1_000_000
_EVERY_S_RANGE: Final = (0.001, 86_400.0)


def source_kind(media_type: str) -> SourceKind:
    """Tell what a body of this type is; raises UnsupportedContent."""
    if media_type in ARCHIVE_TYPES:
        return SourceKind.ARCHIVE
    if media_type == JSON_TYPE:
        return SourceKind.URLS
    if media_type.startswith(_VIDEO_PREFIX):
        return SourceKind.VIDEO
    raise UnsupportedContent(
        "Send an archive as application/zip, a list of URLs as application/json, or a video as"
        " video/mp4 or another video type."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFields:
    """A request's own fields, and *job*: what every job of the batch gets, not yet checked."""

    sampling: Sampling
    job: Mapping[str, Any]


def parse_fields(fields: Mapping[str, Any], kind: SourceKind) -> BatchFields:
    """Take the batch's own fields out of *fields*; raises InvalidField."""
    job = dict(fields)
    every_frames, every_s = job.pop(EVERY_FRAMES, None), job.pop(EVERY_S, None)
    if kind is not SourceKind.VIDEO:
        for name, value in ((EVERY_FRAMES, every_frames), (EVERY_S, every_s)):
            if value is not None:
                raise InvalidField("Only a video is sampled.", field=name)
        return BatchFields(sampling=Sampling(), job=job)
    if every_frames is not None and every_s is not None:
        raise InvalidField("Give either every_frames or every_s.", field=EVERY_FRAMES)
    if every_frames is not None:
        return BatchFields(sampling=Sampling(every_frames=_every_frames(every_frames)), job=job)
    if every_s is not None:
        return BatchFields(sampling=Sampling(every_s=_every_s(every_s)), job=job)
    return BatchFields(sampling=DEFAULT_SAMPLING, job=job)


def take_urls(document: dict[str, Any], *, items_max: int) -> list[str]:
    """Take the list of URLs out of a JSON body; raises InvalidField.

    Whether each leads somewhere, and may, is told of it when it is fetched.
    """
    urls = document.pop(URLS_FIELD, None)
    if not isinstance(urls, list) or not urls:
        raise InvalidField("A list of URLs is needed.", field=URLS_FIELD)
    if len(urls) > items_max:
        raise InvalidField(f"A batch may have {items_max} items at most.", field=URLS_FIELD)
    for index, url in enumerate(urls):
        if not isinstance(url, str) or not 0 < len(url) <= MAX_URL_CHARACTERS:
            raise InvalidField(
                f"A URL is a string of at most {MAX_URL_CHARACTERS} characters.",
                field=f"{URLS_FIELD}[{index}]",
            )
    return urls


def _every_frames(value: Any) -> int:
    text = str(value)
    if text.isascii() and text.isdecimal() and 1 <= int(text[:10]) <= _EVERY_FRAMES_MAX:
        return int(text)
    raise InvalidField(
        f"It must be a whole number from 1 to {_EVERY_FRAMES_MAX}.", field=EVERY_FRAMES
    )


def _every_s(value: Any) -> float:
    low, high = _EVERY_S_RANGE
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not low <= number <= high:
        raise InvalidField(
            f"It must be a number of seconds from {low:g} to {high:g}.", field=EVERY_S
        )
    return number
