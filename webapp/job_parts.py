"""The parts that only the routes of jobs, their events and their pictures work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pipeline.access.tenant_secrets import TenantSecrets
from pipeline.access.tenants import TenantStore
from pipeline.clock import Clock
from pipeline.connection import Connection
from pipeline.events.log import EventLog
from pipeline.jobs.index import JobIndex
from pipeline.jobs.kept import Disposal, KeptPictures
from pipeline.jobs.promises import Promises
from pipeline.jobs.store import JobStore
from pipeline.pictures.blobs import FileBlobs
from pipeline.protocol import Keyspace
from webapp.event_stream import StreamSlots
from webapp.feed import Feed
from webapp.idempotency import InFlight
from webapp.settings import WebappSettings
from webapp.subscribers import Subscribers
from webapp.trimming import Trimmer
from webapp.withdrawing import Withdrawing


@dataclass(frozen=True, slots=True, kw_only=True)
class JobParts:
    """Listing, repeating, withdrawing, following, and what is kept of pictures."""

    index: JobIndex
    promises: Promises
    in_flight: InFlight
    event_log: EventLog
    subscribers: Subscribers
    feed: Feed
    streams: StreamSlots
    blobs: FileBlobs
    kept: KeptPictures
    withdrawing: Withdrawing
    trimmer: Trimmer
    secrets: TenantSecrets

    @classmethod
    def build(
        cls,
        redis: Connection,
        keys: Keyspace,
        settings: WebappSettings,
        store: JobStore,
        clock: Clock,
    ) -> Self:
        """Wire the parts."""
        index = JobIndex(redis, keys)
        event_log = EventLog(redis, keys)
        blobs = FileBlobs(settings.blobs_dir)
        kept = KeptPictures(settings.kept_dir)
        events = settings.events
        return cls(
            index=index,
            promises=Promises(redis, keys),
            in_flight=InFlight(),
            event_log=event_log,
            subscribers=Subscribers(event_log, clock),
            feed=Feed(event_log),
            streams=StreamSlots(total=events.streams_max, per_tenant=events.tenant_streams_max),
            blobs=blobs,
            kept=kept,
            withdrawing=Withdrawing(
                store=store,
                index=index,
                kept=kept,
                disposal=Disposal(blobs, kept, clock),
                clock=clock,
            ),
            secrets=TenantSecrets(redis, keys),
            trimmer=Trimmer(
                index=index,
                event_log=event_log,
                tenants=TenantStore(redis, keys),
                clock=clock,
                settings=events,
                job_retention_s=settings.service.job_retention_s,
            ),
        )
