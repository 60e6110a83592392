"""A video as a source: some of its frames, each as a JPEG.

OpenCV is loaded where a video is read, and nowhere else: only the media workers have it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from operations.sources import Candidate
from pipeline.batches.batch import Sampling, SourceFault

if TYPE_CHECKING:
    import cv2

_JPEG_QUALITY: Final = 95

#: What a video says of its length is often a little off; what is shorter than this was cut.
_LENGTH_TOLERANCE: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoLimits:
    """The bounds of one video."""

    duration_max_s: float
    frames_max: int
    pixels_max: int
    items_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFacts:
    """What a video says of itself. *frames* is 0 where it does not say."""

    width_px: int
    height_px: int
    frames: int
    frames_per_s: float


def sampling_step(sampling: Sampling, facts: VideoFacts) -> int:
    """Give every how many frames one is taken."""
    if sampling.every_frames:
        return sampling.every_frames
    return max(1, round(sampling.every_s * facts.frames_per_s))


def check_video(facts: VideoFacts, limits: VideoLimits, step: int) -> None:
    """Refuse a video that is past its bounds by its own words; raises SourceFault."""
    if facts.width_px <= 0 or facts.height_px <= 0:
        raise SourceFault("the video has no picture", code="undecodable_video")
    if facts.width_px * facts.height_px > limits.pixels_max:
        raise SourceFault(
            f"the video's frames have {facts.width_px} x {facts.height_px} pixels; at most"
            f" {limits.pixels_max} are taken",
            code="video_too_large",
        )
    check_length(facts.frames, facts, limits, step)


def check_length(frames: int, facts: VideoFacts, limits: VideoLimits, step: int) -> None:
    """Refuse a video of so many *frames*; raises SourceFault."""
    if frames > limits.frames_max:
        raise SourceFault(
            f"the video has more than {limits.frames_max} frames", code="video_too_long"
        )
    if frames > limits.duration_max_s * facts.frames_per_s:
        raise SourceFault(
            f"the video is longer than {limits.duration_max_s:g} s", code="video_too_long"
        )
    if (frames + step - 1) // step > limits.items_max:
        raise SourceFault(
            f"the video would give more than {limits.items_max} frames; take fewer of them",
            code="too_many_items",
        )


class VideoSource:
    """The sampled frames of a video file."""

    def __init__(self, path: Path, sampling: Sampling, limits: VideoLimits) -> None:
        self._path = path
        self._sampling = sampling
        self._limits = limits

    async def candidates(self, first: int) -> AsyncGenerator[Candidate, None]:
        """Give the sampled frames from *first* on; raises SourceFault."""
        frames = sampled_frames(self._path, self._sampling, self._limits, first)
        while (candidate := await asyncio.to_thread(next, frames, None)) is not None:
            yield candidate


def sampled_frames(
    path: Path, sampling: Sampling, limits: VideoLimits, first: int
) -> Iterator[Candidate]:
    """Decode a video from its beginning and give the sampled frames from *first* on.

    Frames are counted, not sought: where a container's index is off, seeking twice gives two
    different frames. Raises SourceFault for what OpenCV cannot read, or what is past its bounds.
    """
    # A file must not make FFmpeg open others, or the network.
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "protocol_whitelist;file"
    import cv2  # noqa: PLC0415  # a worker that reads no video does without its memory

    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise SourceFault("OpenCV cannot read this video", code="undecodable_video")
        facts = _facts(capture)
        step = sampling_step(sampling, facts)
        check_video(facts, limits, step)
        number = 0
        while capture.grab():
            check_length(number + 1, facts, limits, step)
            if number % step == 0 and number // step >= first:
                yield _candidate(capture, number, facts)
            number += 1
        if number == 0:
            raise SourceFault("OpenCV can decode no frame of it", code="undecodable_video")
        if number < facts.frames * _LENGTH_TOLERANCE and (number - 1) // step + 1 >= first:
            yield Candidate(
                name=f"frame-{number:06d}",
                fault=SourceFault(
                    f"the video breaks off after {number} of {facts.frames} frames",
                    code="video_cut_short",
                ),
            )
    finally:
        capture.release()


def _facts(capture: cv2.VideoCapture) -> VideoFacts:
    import cv2  # noqa: PLC0415

    frames_per_s = capture.get(cv2.CAP_PROP_FPS)
    return VideoFacts(
        width_px=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height_px=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        # A stream without a length says something negative, and one without a rate 0 or NaN.
        frames=max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))),
        frames_per_s=frames_per_s if 0 < frames_per_s <= 1000 else 25.0,
    )


def _candidate(capture: cv2.VideoCapture, number: int, facts: VideoFacts) -> Candidate:
    import cv2  # noqa: PLC0415

    name = f"frame-{number:06d}@{number / facts.frames_per_s:.3f}s"
    is_there, frame = capture.retrieve()
    if is_there:
        is_written, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        if is_written:
            return Candidate(name=name, data=data.tobytes())
    return Candidate(
        name=name, fault=SourceFault("the frame cannot be decoded", code="undecodable_frame")
    )
