"""The bounds of batches, which the webapp and the operations plane must see alike."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.batches.archives import ArchiveLimits
from pipeline.batches.batch import BATCH_RETENTION_MS
from pipeline.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """The bounds of one batch."""

    items_max: int = setting(
        "GW_BATCH_ITEMS_MAX",
        10_000,
        "How many items a batch may have: entries, URLs, sampled frames.",
        at_least=1,
        at_most=1_000_000,
    )
    source_max_bytes: int = setting(
        "GW_BATCH_MAX_BYTES",
        2 * 1024**3,
        "The largest archive or video that is taken.",
        at_least=1024,
    )
    inflated_max_bytes: int = setting(
        "GW_BATCH_INFLATED_MAX_BYTES",
        8 * 1024**3,
        "What all entries of an archive may take together once inflated.",
        at_least=1024,
    )
    video_max_s: float = setting(
        "GW_VIDEO_MAX_S", 3600.0, "The longest video that is taken.", at_least=1
    )
    video_max_frames: int = setting(
        "GW_VIDEO_MAX_FRAMES",
        500_000,
        "The most frames that a video may have, sampled or not.",
        at_least=1,
    )
    retention_s: int = setting(
        "GW_BATCH_RETENTION_S",
        BATCH_RETENTION_MS // 1000,
        "How long a batch and its result file can be read after its end.",
        at_least=60,
        at_most=31_536_000,
    )

    def archive(self, *, picture_max_bytes: int) -> ArchiveLimits:
        """Give the bounds of an archive whose entries are pictures."""
        return ArchiveLimits(
            entries_max=self.items_max,
            entry_max_bytes=picture_max_bytes,
            total_max_bytes=self.inflated_max_bytes,
        )
