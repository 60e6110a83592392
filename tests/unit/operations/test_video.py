"""Videos: their bounds, and the frames that are taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from operations.sources import Candidate
from operations.video import VideoFacts, VideoLimits, check_video, sampled_frames, sampling_step
from pipeline.batches.batch import Sampling, SourceFault

FACTS = VideoFacts(width_px=640, height_px=480, frames=250, frames_per_s=25.0)
LIMITS = VideoLimits(duration_max_s=60, frames_max=10_000, pixels_max=10**6, items_max=100)
FRAMES = 40


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a video whose frames get brighter, ten in a second."""
    path = tmp_path_factory.mktemp("video") / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    assert writer.isOpened()
    for number in range(FRAMES):
        writer.write(np.full((48, 64, 3), number * 6, np.uint8))
    writer.release()
    return path


def frames(
    path: Path, sampling: Sampling, *, first: int = 0, limits: VideoLimits = LIMITS
) -> list[Candidate]:
    """Give the sampled frames."""
    return list(sampled_frames(path, sampling, limits, first))


@pytest.mark.parametrize(
    ("sampling", "step"),
    [
        (Sampling(every_frames=7), 7),
        (Sampling(every_s=1), 25),
        (Sampling(every_s=0.5), 12),
        (Sampling(every_s=0.001), 1),
    ],
)
def test_seconds_are_frames(sampling: Sampling, step: int) -> None:
    """At least every frame is taken, whatever fraction is asked for."""
    assert sampling_step(sampling, FACTS) == step


@pytest.mark.parametrize(
    ("changes", "step", "code"),
    [
        ({"width_px": 0}, 1, "undecodable_video"),
        ({"width_px": 5000}, 25, "video_too_large"),
        ({"frames": 10_001}, 200, "video_too_long"),
        ({"frames": 1501}, 25, "video_too_long"),
        ({}, 2, "too_many_items"),
    ],
)
def test_a_video_past_its_bounds_is_refused(changes: dict[str, int], step: int, code: str) -> None:
    """By what it says of itself, before a frame is decoded."""
    with pytest.raises(SourceFault) as caught:
        check_video(replace(FACTS, **changes), LIMITS, step)

    assert caught.value.code == code


def test_a_video_within_its_bounds_is_taken() -> None:
    """Exactly the limits are allowed, and a length that is not said is none."""
    check_video(replace(FACTS, frames=1500), LIMITS, 15)
    check_video(replace(FACTS, frames=0), LIMITS, 1)


def test_every_so_many_frames_one_is_taken(video: Path) -> None:
    """Each is a JPEG of the frame at its place, labelled with its moment."""
    taken = frames(video, Sampling(every_frames=15))

    assert [each.name for each in taken] == [
        "frame-000000@0.000s",
        "frame-000015@1.500s",
        "frame-000030@3.000s",
    ]
    pictures = [cv2.imdecode(np.frombuffer(each.data, np.uint8), 1) for each in taken]
    means = [picture.mean() for picture in pictures if picture is not None]
    assert means == pytest.approx([0, 90, 180], abs=4)


def test_reading_goes_on_where_it_ended(video: Path) -> None:
    """From any index on the very same bytes come again."""
    whole = frames(video, Sampling(every_s=0.4))

    assert len(whole) == 10
    assert frames(video, Sampling(every_s=0.4), first=6) == whole[6:]
    assert frames(video, Sampling(every_s=0.4), first=10) == []


def test_a_video_that_breaks_off_gives_what_it_has(video: Path, tmp_path: Path) -> None:
    """The frames before count, and one item more tells that there should be others."""
    cut = tmp_path / "cut.avi"
    cut.write_bytes(video.read_bytes()[: video.stat().st_size // 2])

    taken = frames(cut, Sampling(every_frames=5))

    assert len(taken) > 2
    assert [each.fault for each in taken[:-1]] == [None] * (len(taken) - 1)
    last = taken[-1].fault
    assert isinstance(last, SourceFault)
    assert last.code == "video_cut_short"


@pytest.mark.parametrize("data", [b"", b"RIFF0000AVI LIST", b"#EXTM3U\nfile:///etc/passwd\n"])
def test_what_cannot_be_decoded_is_refused(data: bytes, tmp_path: Path) -> None:
    """Nothing, a head without a body, and a playlist that names another file."""
    path = tmp_path / "video"
    path.write_bytes(data)

    with pytest.raises(SourceFault) as caught:
        frames(path, Sampling(every_frames=1))

    assert caught.value.code == "undecodable_video"


def test_what_a_video_hides_of_its_length_is_counted(video: Path) -> None:
    """A length that turns out while decoding is held to the same bound."""
    limits = replace(LIMITS, items_max=3)

    with pytest.raises(SourceFault, match="more than 3"):
        frames(video, Sampling(every_frames=1), limits=limits)
