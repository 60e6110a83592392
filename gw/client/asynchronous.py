"""The asynchronous client, for asyncio: the same as the blocking one, method by method."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Unpack

from gw.client import administration, batches, deliveries, events, jobs
from gw.client.administration import EndpointOptions, Scope, TenantOptions
from gw.client.asynchronous_driver import AsynchronousDriver
from gw.client.batches import BatchOptions
from gw.client.bodies import Progress, Source
from gw.client.deliveries import DeliveryFilters, ListedDelivery, Operation
from gw.client.documents import (
    Batch,
    BatchItem,
    Delivery,
    Event,
    Job,
    Result,
    SubscriberCursor,
)
from gw.client.jobs import Filters, JobOptions
from gw.client.platform_documents import (
    AuditLine,
    Device,
    Endpoint,
    Example,
    Key,
    Model,
    ModelCommand,
    Readiness,
    RotatedSecret,
    Tenant,
)
from gw.client.wire import Request


class AsyncClient(AsynchronousDriver):
    """Speaks to the API at *url* with the API key *key*, on asyncio.

    Answers are dataclasses, refusals are errors (see ``gw.client.errors``). What can pass is waited
    out, for as long as the options say, and nothing is done twice for it: a submission carries an
    idempotency key.
    """

    async def ready(self) -> Readiness:
        """Tell whether work that comes in now would be done, and if not, why."""
        request = Request(method="GET", path="/readyz")
        return administration.readiness(await self._send(request))

    async def submit(
        self,
        source: Source,
        *,
        model: str,
        wait_s: float = 0.0,
        key: str | None = None,
        progress: Progress | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Submit one picture: bytes, a path, or an open file.

        With *wait_s* the job is given when it has ended, with its result, or as it is by then.
        *key* is the idempotency key, a new one by default; under one of your own another process
        may repeat the submission.
        """
        (job,) = await self._run(
            jobs.submit(
                jobs.submission(
                    [source],
                    {"model": model, **options},
                    key=key or jobs.new_key(),
                    progress=progress,
                ),
                wait_s,
                self._retrying,
            )
        )
        return job

    async def submit_many(
        self,
        sources: Sequence[Source],
        *,
        model: str,
        wait_s: float = 0.0,
        key: str | None = None,
        progress: Progress | None = None,
        **options: Unpack[JobOptions],
    ) -> list[Job]:
        """Submit up to 32 pictures, a job for each in their order: all are accepted, or none."""
        return await self._run(
            jobs.submit(
                jobs.submission(
                    sources,
                    {"model": model, **options},
                    key=key or jobs.new_key(),
                    progress=progress,
                ),
                wait_s,
                self._retrying,
            )
        )

    async def submit_url(
        self,
        url: str,
        *,
        model: str,
        wait_s: float = 0.0,
        key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Submit a picture that the server fetches."""
        (job,) = await self._run(
            jobs.submit(
                jobs.url_submission(url, {"model": model, **options}, key=key or jobs.new_key()),
                wait_s,
                self._retrying,
            )
        )
        return job

    async def job(self, job_id: str) -> Job:
        """Read a job, without its result."""
        return await self._ask(jobs.job(job_id))

    async def wait(self, job_id: str, timeout_s: float = 300.0) -> Job:
        """Give a job with its result when it has ended; raises StillRunning."""
        return await self._run(jobs.followed(job_id, timeout_s, self._retrying))

    def follow(self, job_id: str, timeout_s: float = 300.0) -> AsyncIterator[Job]:
        """Give a job in each state that is seen, to its end; raises StillRunning."""
        return self._iterate(jobs.followed(job_id, timeout_s, self._retrying))

    async def result(self, job_id: str) -> Result:
        """Read a job's result; raises ResultNotReady or NoResult."""
        return await self._ask(jobs.result(job_id))

    def jobs(self, limit: int | None = None, **filters: Unpack[Filters]) -> AsyncIterator[Job]:
        """Give jobs, newest first; pages are read as they are needed."""
        return self._iterate(jobs.listed(filters, limit, self._retrying))

    async def cancel(self, job_id: str) -> Job:
        """Cancel a job; raises JobEnded."""
        return await self._run(jobs.cancel(job_id, self._retrying))

    async def remove(self, job_id: str) -> None:
        """Remove an ended job with all that is kept of it; raises JobNotEnded."""
        await self._run(jobs.remove(job_id, self._retrying))

    async def picture(self, job_id: str) -> bytes:
        """Read a job's picture, where pictures are kept."""
        return await self._ask(jobs.kept(job_id, "picture"))

    async def preview(self, job_id: str) -> bytes:
        """Read the picture with what was found drawn on it, a JPEG."""
        return await self._ask(jobs.kept(job_id, "preview"))

    async def job_deliveries(self, job_id: str) -> list[Delivery]:
        """Read how a job's end was told, with every attempt."""
        return await self._ask(jobs.deliveries(job_id))

    def events(self, after: str = "now", subscriber: str = "") -> AsyncIterator[Event]:
        """Give events for ever, from a stream that is resumed where it breaks.

        *after* is an event's id, ``start`` or ``now``. A named *subscriber* begins behind what it
        has acknowledged: what was given before it asked for more. So an event may come twice, and
        none is missed. Raises EventsTrimmed.
        """
        return self._iterate(
            events.followed("" if subscriber else after, subscriber, self._retrying)
        )

    async def acknowledge(self, subscriber: str, cursor: str) -> SubscriberCursor:
        """Note that a subscriber has worked on all up to *cursor*, an event's id."""
        return await self._ask(events.acknowledge(subscriber, cursor))

    async def subscribers(self) -> list[SubscriberCursor]:
        """List the named subscribers."""
        return await self._ask(events.subscribers())

    async def forget_subscriber(self, subscriber: str) -> None:
        """Forget a named subscriber."""
        await self._run(events.forget(subscriber, self._retrying))

    async def submit_batch(
        self,
        source: Source,
        *,
        model: str,
        content_type: str | None = None,
        progress: Progress | None = None,
        **options: Unpack[BatchOptions],
    ) -> Batch:
        """Submit an archive or a video; *content_type* None goes by the file's name.

        Sent once: a batch whose answer is lost may have been accepted.
        """
        return await self._ask(
            batches.submit(
                batches.submission(
                    source,
                    {"model": model, **options},
                    content_type=content_type,
                    progress=progress,
                )
            )
        )

    async def submit_batch_urls(
        self, urls: Sequence[str], *, model: str, **options: Unpack[BatchOptions]
    ) -> Batch:
        """Submit pictures that the server fetches, a job for each URL."""
        return await self._ask(
            batches.submit(batches.url_submission(urls, {"model": model, **options}))
        )

    async def batch(self, batch_id: str) -> Batch:
        """Read how far a batch is, with its first item errors."""
        return await self._ask(batches.batch(batch_id))

    async def wait_batch(self, batch_id: str, timeout_s: float = 3600.0) -> Batch:
        """Give a batch when it has ended; raises StillRunning."""
        return await self._run(batches.wait(batch_id, timeout_s, self._retrying))

    def follow_batch(self, batch_id: str, timeout_s: float = 3600.0) -> AsyncIterator[Batch]:
        """Give a batch each time that it is looked at, to its end; raises StillRunning."""
        return self._iterate(batches.wait(batch_id, timeout_s, self._retrying))

    def batches(self, limit: int | None = None) -> AsyncIterator[Batch]:
        """Give batches, newest first."""
        return self._iterate(batches.listed(limit, self._retrying))

    def batch_items(self, batch_id: str) -> AsyncIterator[BatchItem]:
        """Give the items of a batch that are expanded, in their order."""
        return self._iterate(batches.items(batch_id, self._retrying))

    def batch_results(self, batch_id: str) -> AsyncIterator[BatchItem]:
        """Give the items of a batch with the results that are there."""
        return self._iterate(batches.results(batch_id, self._retrying))

    def batch_results_as(self, batch_id: str, form: str) -> AsyncIterator[bytes]:
        """Give the results as the server writes them, in pieces: ``jsonl`` or ``csv``."""
        return self._iterate(batches.raw_results(batch_id, form, self._retrying))

    async def cancel_batch(self, batch_id: str) -> Batch:
        """Withdraw a batch; raises BatchEnded."""
        return await self._ask(batches.cancel(batch_id))

    async def models(self) -> list[Model]:
        """List the models."""
        return await self._ask(administration.models())

    async def model(self, name: str) -> Model:
        """Read a model."""
        return await self._ask(administration.model(name))

    async def load_model(self, name: str, version: str = "", wait_s: float = 0.0) -> ModelCommand:
        """Accept jobs for a model and put it on the device; waits for the dispatchers' answers."""
        return await self._ask(administration.command("load", name, version=version, wait_s=wait_s))

    async def unload_model(self, name: str, version: str = "", wait_s: float = 0.0) -> ModelCommand:
        """Accept no jobs for a model, and take it off the device when its jobs are through."""
        return await self._ask(
            administration.command("unload", name, version=version, wait_s=wait_s)
        )

    async def reload_model(self, name: str, version: str = "", wait_s: float = 0.0) -> ModelCommand:
        """Read a model's files anew, and put it on the device."""
        return await self._ask(
            administration.command("reload", name, version=version, wait_s=wait_s)
        )

    async def model_command(self, name: str, command_id: str) -> ModelCommand:
        """Read what became of a command."""
        return await self._ask(administration.read_command(name, command_id))

    async def devices(self) -> list[Device]:
        """List what the models run on."""
        return await self._ask(administration.devices())

    async def add_webhook(self, url: str, **options: Unpack[EndpointOptions]) -> Endpoint:
        """Register an endpoint; its secret is in this answer alone."""
        return await self._ask(administration.add_endpoint(url, options))

    async def webhooks(self) -> list[Endpoint]:
        """List the endpoints."""
        return await self._ask(administration.endpoints())

    async def webhook(self, endpoint_id: str) -> Endpoint:
        """Read an endpoint."""
        return await self._ask(administration.endpoint(endpoint_id))

    async def change_webhook(
        self, endpoint_id: str, **changes: Unpack[EndpointOptions]
    ) -> Endpoint:
        """Change an endpoint; what is not named stays."""
        return await self._ask(administration.change_endpoint(endpoint_id, changes))

    async def remove_webhook(self, endpoint_id: str) -> None:
        """Forget an endpoint."""
        await self._run(administration.remove_endpoint(endpoint_id, self._retrying))

    async def rotate_webhook_secret(
        self, endpoint_id: str, overlap_s: int | None = None
    ) -> RotatedSecret:
        """Replace an endpoint's secret; for *overlap_s* the one before signs too."""
        return await self._ask(administration.rotate_secret(endpoint_id, overlap_s))

    async def test_webhook(self, endpoint_id: str) -> Example:
        """Have a signed example sent, and give what came of it."""
        return await self._ask(administration.test_endpoint(endpoint_id))

    def deliveries(
        self, limit: int | None = None, **filters: Unpack[DeliveryFilters]
    ) -> AsyncIterator[ListedDelivery]:
        """Give deliveries of webhooks, those of the newest events first."""
        return self._iterate(deliveries.listed(filters, limit, self._retrying))

    async def delivery(self, delivery_id: str) -> ListedDelivery:
        """Read a delivery with its attempts."""
        return await self._ask(deliveries.delivery(delivery_id))

    async def resend(self, delivery_id: str) -> ListedDelivery:
        """Send a delivery again, under its own webhook-id."""
        return await self._ask(deliveries.resend(delivery_id))

    async def recover_webhook(self, endpoint_id: str, since: datetime) -> Operation:
        """Send again, in the background, what has failed since a moment."""
        return await self._ask(deliveries.recover(endpoint_id, since))

    async def replay_webhook(
        self,
        endpoint_id: str,
        since: datetime,
        until: datetime | None = None,
        *,
        only_missing: bool = False,
    ) -> Operation:
        """Send, in the background, the events of a time that pass the endpoint's filters."""
        return await self._ask(
            deliveries.replay(endpoint_id, since, until, only_missing=only_missing)
        )

    async def operation(self, operation_id: str) -> Operation:
        """Read how far a recovery or a replay is."""
        return await self._ask(deliveries.operation(operation_id))

    async def create_key(
        self,
        tenant: str,
        *,
        description: str = "",
        scopes: Sequence[Scope] = (),
        expires_in_s: int | None = None,
    ) -> Key:
        """Make a key; its token is in this answer alone."""
        return await self._ask(
            administration.create_key(
                tenant, description=description, scopes=scopes, expires_in_s=expires_in_s
            )
        )

    async def keys(self) -> list[Key]:
        """List the keys."""
        return await self._ask(administration.keys())

    async def key(self, key_id: str) -> Key:
        """Read a key."""
        return await self._ask(administration.key(key_id))

    async def rotate_key(self, key_id: str, overlap_s: int | None = None) -> Key:
        """Give a key a new secret; for *overlap_s* the one before counts too."""
        return await self._ask(administration.rotate_key(key_id, overlap_s))

    async def revoke_key(self, key_id: str) -> None:
        """Revoke a key."""
        await self._run(administration.revoke_key(key_id, self._retrying))

    async def tenants(self) -> list[Tenant]:
        """List the tenants."""
        return await self._ask(administration.tenants())

    async def tenant(self, name: str) -> Tenant:
        """Read a tenant's settings."""
        return await self._ask(administration.tenant(name))

    async def set_tenant(self, name: str, **options: Unpack[TenantOptions]) -> Tenant:
        """Set what a tenant may; what is not named gets its default."""
        return await self._ask(administration.set_tenant(name, options))

    async def audit(self, limit: int = 100) -> list[AuditLine]:
        """Read the newest administrative acts."""
        return await self._ask(administration.audit(limit))
