"""Accepting batches: the source onto the disk, checked as a whole, then the record."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starlette.types import Receive

from egress.policy import EgressPolicy
from pipeline.batches.archives import Archive
from pipeline.batches.batch import Batch, Sampling, SourceFault, SourceKind, queue_of
from pipeline.batches.files import BatchFiles
from pipeline.batches.store import BatchStore
from pipeline.batches.video_header import HEAD_BYTES, video_format
from pipeline.clock import Clock
from pipeline.errors import Overloaded, Unavailable
from pipeline.ids import new_id
from pipeline.jobs.job import PictureFacts
from pipeline.jobs.promises import Once, Promise, Promises
from pipeline.jobs.quotas import BucketLevel
from webapp.accepting import Accepting
from webapp.access import Caller
from webapp.batch_quota import BatchQuota, too_many_bytes
from webapp.batch_request import BatchFields, parse_fields, source_kind, take_urls
from webapp.batch_upload import receive_file
from webapp.body import BodyLimits, Holding, MemoryBudget, check_claimed_length, read_body
from webapp.head import SubmissionHead
from webapp.idempotency import InFlight, batch_fingerprint, parse_key
from webapp.monitor import Monitor
from webapp.refusals import BatchEnded, JobRemoved, KeyReused, UnusableSource
from webapp.settings import WebappSettings
from webapp.submission import parse_submission
from webapp.uploads import decode_text_fields, merged, parse_json_object

log = logging.getLogger(__name__)

#: Facts of a picture that is not there yet: every job of the batch gets its own.
_NO_PICTURE = PictureFacts(format="", width_px=0, height_px=0, size_bytes=0)

#: A list of URLs is held in memory while it is parsed.
_JSON_MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenBatch:
    """What became of a request for a batch.

    *is_replayed* tells that it was accepted before; *levels* is what is left of the rates.
    """

    batch: Batch
    is_replayed: bool = False
    levels: tuple[BucketLevel, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """One request for a batch: its head understood, its body not yet read."""

    kind: SourceKind
    head: SubmissionHead
    receive: Receive
    caller: Caller
    fields: Mapping[str, Any]
    key: str | None = None


class Batching:
    """Accepts and withdraws batches."""

    def __init__(  # noqa: PLR0913  # the composition root's parts, by name
        self,
        *,
        settings: WebappSettings,
        store: BatchStore,
        accepting: Accepting,
        quota: BatchQuota,
        promises: Promises,
        in_flight: InFlight,
        monitor: Monitor,
        budget: MemoryBudget,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._store = store
        self._accepting = accepting
        self._quota = quota
        self._promises = promises
        self._in_flight = in_flight
        self._monitor = monitor
        self._budget = budget
        self._clock = clock
        self._egress = EgressPolicy.parse(settings.egress_allow)
        self._files = BatchFiles(settings.batches_dir)
        self._source_limits = BodyLimits(
            max_bytes=settings.batches.source_max_bytes, timeout_s=settings.batch_upload_timeout_s
        )

    async def accept(self, head: SubmissionHead, receive: Receive, caller: Caller) -> TakenBatch:
        """Take one batch in; on return its source and its record survive a crash of everything.

        Raises what reading and planning a submission raise, UnusableSource, RateLimited or
        QuotaReached for a limit of the tenant, Overloaded when too many batches are open, and
        Unavailable, also when nobody would expand it. With an idempotency key also KeyReused,
        RequestInFlight or JobRemoved.
        """
        request = _Request(
            kind=source_kind(head.media_type),
            head=head,
            receive=receive,
            caller=caller,
            fields=decode_text_fields(head.fields),
            key=None if head.idempotency_key is None else parse_key(head.idempotency_key),
        )
        once = self._once(request, "")
        if once is None:
            return await self._take(request)
        with self._in_flight.hold(caller.tenant, once):
            promise = await self._promises.get(caller.tenant, once.key_sha256)
            if promise is None:
                return await self._take(request)
            return await self._again(promise, self._once(request, await self._digest(request)))

    async def withdraw(self, batch: Batch) -> Batch:
        """Withdraw *batch*; one that is being withdrawn stays so. Raises BatchEnded."""
        if await self._store.withdraw(batch.batch_id):
            log.info("batch.canceled", extra={"batch_id": batch.batch_id})
        current = await self._store.get(batch.batch_id) or batch
        if current.state.is_terminal:
            raise BatchEnded(current.state)
        return current

    async def _take(self, request: _Request) -> TakenBatch:
        self._monitor.check_service(queue_of(request.kind).service)
        self._check_disk()
        levels = await self._quota.take_token(request.caller)
        if request.kind is SourceKind.URLS:
            return await self._take_urls(request, levels)
        # Everything is checked that can be before the first byte of a large body is read.
        own = parse_fields(request.fields, request.kind)
        batch = await self._plan(own, request.kind, request.caller)
        check_claimed_length(request.head.length_bytes, self._source_limits)
        await self._quota.check_bytes(batch.tenant, request.head.length_bytes or 0)
        path = self._files.source(batch.batch_id)
        file = await asyncio.to_thread(self._files.begin, path)
        try:
            received = await receive_file(
                request.receive, file, self._source_limits, check_disk=self._check_disk
            )
            await asyncio.to_thread(self._files.commit, file, path)
        finally:
            await asyncio.to_thread(self._files.discard, file, path)
        try:
            items_total = await asyncio.to_thread(self._check_source, request.kind, path)
        except SourceFault as fault:
            await asyncio.to_thread(self._files.remove_source, batch.batch_id)
            raise UnusableSource(str(fault)) from fault
        batch = replace(batch, size_bytes=received.size_bytes, items_total=items_total)
        return await self._store_batch(batch, self._once(request, received.sha256), levels)

    async def _take_urls(self, request: _Request, levels: tuple[BucketLevel, ...]) -> TakenBatch:
        with self._budget.hold() as holding:
            document = await self._document(request, holding)
            once = self._once(request, _digest_of(document))
            urls = take_urls(document, items_max=self._settings.batches.items_max)
            own = parse_fields(merged(document, request.fields), SourceKind.URLS)
            batch = await self._plan(own, SourceKind.URLS, request.caller)
            data = json.dumps(urls).encode()
            await self._quota.check_bytes(batch.tenant, len(data))
            await asyncio.to_thread(self._write, self._files.source(batch.batch_id), data)
        batch = replace(batch, size_bytes=len(data), items_total=len(urls))
        return await self._store_batch(batch, once, levels)

    async def _document(self, request: _Request, holding: Holding) -> dict[str, Any]:
        limits = BodyLimits(
            max_bytes=_JSON_MAX_BYTES, timeout_s=self._settings.uploads.upload_timeout_s
        )
        check_claimed_length(request.head.length_bytes, limits)
        return parse_json_object(await read_body(request.receive, limits, holding))

    def _once(self, request: _Request, source_sha256: str) -> Once | None:
        if request.key is None:
            return None
        return Once.of(
            request.key,
            fingerprint=batch_fingerprint(request.kind, request.fields, source_sha256),
            keep_ms=self._settings.idempotency_s * 1000,
        )

    async def _digest(self, request: _Request) -> str:
        """Read the body of a repeated request, of which nothing but the digest is wanted."""
        if request.kind is SourceKind.URLS:
            with self._budget.hold() as holding:
                return _digest_of(await self._document(request, holding))
        check_claimed_length(request.head.length_bytes, self._source_limits)
        received = await receive_file(
            request.receive, None, self._source_limits, check_disk=lambda: None
        )
        return received.sha256

    async def _again(self, promise: Promise, once: Once | None) -> TakenBatch:
        """Give the batch that was accepted before; raises KeyReused or JobRemoved."""
        if once is None or promise.fingerprint != once.fingerprint:
            raise KeyReused
        batch = await self._store.get(promise.job_ids[0])
        if batch is None:
            raise JobRemoved
        return TakenBatch(batch=batch, is_replayed=True)

    async def _plan(self, own: BatchFields, kind: SourceKind, caller: Caller) -> Batch:
        submission = parse_submission(
            own.job, now_unix_ms=self._clock.unix_ms(), egress=self._egress
        )
        (template,) = await self._accepting.plan(submission, [_NO_PICTURE], caller=caller)
        return Batch(
            batch_id=new_id("batch", template.accepted_unix_ms),
            kind=kind,
            template=template,
            sampling=own.sampling or Sampling(),
        )

    async def _store_batch(
        self, batch: Batch, once: Once | None, levels: tuple[BucketLevel, ...]
    ) -> TakenBatch:
        open_max = self._settings.batches_open_max
        bytes_max = await self._quota.bytes_max(batch.tenant)
        # When this raises, the record may be there: then the source must be, too. The sweep
        # removes one that has no record.
        admission = await self._store.accept(
            batch, open_max=open_max, bytes_max=bytes_max, once=once
        )
        if not admission.accepted:
            await asyncio.to_thread(self._files.remove_source, batch.batch_id)
            if admission.earlier is not None:
                return await self._again(admission.earlier, once)
            if admission.stored_bytes is not None:
                raise too_many_bytes(admission.stored_bytes, bytes_max)
            raise Overloaded(
                f"{open_max} batches are open already, and no more may be.", retry_after_s=60
            )
        log.info(
            "batch.accepted",
            extra={"batch_id": batch.batch_id, "kind": batch.kind, "bytes": batch.size_bytes},
        )
        return TakenBatch(batch=batch, levels=levels)

    def _check_source(self, kind: SourceKind, path: Path) -> int:
        """Look at a source as a whole; give how many items it has, 0 where that is not known."""
        if kind is SourceKind.ARCHIVE:
            picture_max_bytes = self._settings.uploads.picture_max_bytes
            limits = self._settings.batches.archive(picture_max_bytes=picture_max_bytes)
            with Archive(path, limits) as archive:
                return len(archive)
        with path.open("rb") as file:
            if not video_format(file.read(HEAD_BYTES)):
                raise SourceFault("this is no MP4, MOV, Matroska, WebM, AVI or MPEG video")
        return 0

    def _check_disk(self) -> None:
        self._monitor.check_room()

    def _write(self, path: Path, data: bytes) -> None:
        file = self._files.begin(path)
        try:
            file.write(data)
            self._files.commit(file, path)
        except OSError as exc:
            raise Unavailable(f"the batch cannot be stored: {exc.strerror}") from exc
        finally:
            self._files.discard(file, path)


def _digest_of(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
