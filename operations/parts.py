"""The parts that an operation works with, made for one operation and closed after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from egress.client import EgressClient, client_of
from egress.policy import EgressPolicy
from operations.expansion import Expansion, ExpansionLimits
from operations.finishing import Finishing
from operations.room import Room
from operations.settings import OperationsSettings
from operations.sources import ArchiveSource, Source
from operations.urls import UrlSource
from operations.video import VideoLimits, VideoSource
from pipeline.access.tenants import TenantStore
from pipeline.batches.batch import Batch, SourceKind
from pipeline.batches.files import BatchFiles
from pipeline.batches.store import BatchStore
from pipeline.clock import Clock, SystemClock
from pipeline.connection import connect
from pipeline.events.store import EventStore
from pipeline.jobs.kept import Disposal, KeptPictures
from pipeline.jobs.loads import LoadStore
from pipeline.jobs.store import JobStore
from pipeline.jobs.token_buckets import TokenBuckets
from pipeline.pictures.blobs import FileBlobs
from pipeline.protocol import Keyspace


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationParts:
    """What operations are made of."""

    settings: OperationsSettings
    clock: Clock
    redis: Redis
    keys: Keyspace
    batches: BatchStore
    jobs: JobStore
    events: EventStore
    files: BatchFiles
    blobs: FileBlobs
    kept: KeptPictures
    egress: EgressClient

    def expansion(self) -> Expansion:
        """Make what expands batches."""
        return Expansion(
            batches=self.batches,
            jobs=self.jobs,
            blobs=self.blobs,
            clock=self.clock,
            limits=ExpansionLimits(
                waiting_max=self.settings.batch_jobs_waiting_max,
                picture_max_pixels=self.settings.picture_max_pixels,
            ),
            room=self.room(),
        )

    def room(self) -> Room:
        """Make what says how many jobs of a batch may be accepted."""
        return Room(
            batches=self.batches,
            jobs=self.jobs,
            loads=LoadStore(self.redis, self.keys),
            tenants=TenantStore(self.redis, self.keys),
            buckets=TokenBuckets(self.redis),
            keys=self.keys,
            waiting_max=self.settings.batch_jobs_waiting_max,
        )

    def finishing(self) -> Finishing:
        """Make what withdraws and ends batches."""
        return Finishing(
            batches=self.batches,
            jobs=self.jobs,
            events=self.events,
            files=self.files,
            dispose=Disposal(self.blobs, self.kept, self.clock).dispose,
            clock=self.clock,
        )

    def source(self, batch: Batch) -> Source:
        """Give the source of *batch*."""
        path, settings = self.files.source(batch.batch_id), self.settings
        match batch.kind:
            case SourceKind.ARCHIVE:
                limits = settings.batches.archive(picture_max_bytes=settings.picture_max_bytes)
                return ArchiveSource(path, limits)
            case SourceKind.URLS:
                return UrlSource(
                    path,
                    self.egress,
                    max_bytes=settings.picture_max_bytes,
                    deadline_s=settings.url_fetch_timeout_s,
                )
            case SourceKind.VIDEO:
                video = VideoLimits(
                    duration_max_s=settings.batches.video_max_s,
                    frames_max=settings.batches.video_max_frames,
                    pixels_max=settings.picture_max_pixels,
                    items_max=settings.batches.items_max,
                )
                return VideoSource(path, batch.sampling, video)


@asynccontextmanager
async def operation_parts(settings: OperationsSettings) -> AsyncIterator[OperationParts]:
    """Make the parts, and close them behind the operation."""
    service = settings.service
    redis = connect(service.redis)
    keys = Keyspace(service.redis.prefix)
    egress = client_of(settings.egress, EgressPolicy.parse(settings.egress_allow))
    job_retention_ms = service.job_retention_s * 1000
    try:
        yield OperationParts(
            settings=settings,
            clock=SystemClock(),
            redis=redis,
            keys=keys,
            batches=BatchStore(redis, keys, retention_ms=settings.batches.retention_s * 1000),
            jobs=JobStore(redis, keys, retention_ms=job_retention_ms),
            events=EventStore(redis, keys, retention_ms=job_retention_ms),
            files=BatchFiles(settings.batches_dir),
            blobs=FileBlobs(settings.blobs_dir),
            kept=KeptPictures(settings.kept_dir),
            egress=egress,
        )
    finally:
        await egress.aclose()
        await redis.aclose()
