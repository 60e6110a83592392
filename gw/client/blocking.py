"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Unpack

from gw.client import administration, batches, deliveries, events, jobs
from gw.client.administration import EndpointOptions, Scope, TenantOptions
from gw.client.batches import BatchOptions
from gw.client.blocking_driver import BlockingDriver
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


class Client(BlockingDriver):
    """Speaks to the API at *url* with the API key *key*; one client may be used by many threads.

    Answers are dataclasses, refusals are errors (see ``gw.client.errors``). What can pass is waited
    out, for as long as the options say, and nothing is done twice for it: a submission carries an
    idempotency key.
    """

    def ready(self) -> Readiness:
        """Tell whether work that comes in now would be done, and if not, why."""
        request = Request(method="GET", path="/readyz")
        return administration.readiness(self._send(request))

    def submit(
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
        (job,) = self._run(
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

    def submit_many(
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
        return self._run(
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

    def submit_url(
        self,
        url: str,
        *,
        model: str,
        wait_s: float = 0.0,
        key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> Job:
        """Submit a picture that the server fetches."""
        (job,) = self._run(
            jobs.submit(
                jobs.url_submission(url, {"model": model, **options}, key=key or jobs.new_key()),
                wait_s,
                self._retrying,
            )
        )
        return job

    def job(self, job_id: str) -> Job:
        """Read a job, without its result."""
        return self._ask(jobs.job(job_id))

    def wait(self, job_id: str, timeout_s: float = 300.0) -> Job:
        """Give a job with its result when it has ended; raises StillRunning."""
        return self._run(jobs.followed(job_id, timeout_s, self._retrying))

    def follow(self, job_id: str, timeout_s: float = 300.0) -> Iterator[Job]:
        """Give a job in each state that is seen, to its end; raises StillRunning."""
        return self._iterate(jobs.followed(job_id, timeout_s, self._retrying))

    def result(self, job_id: str) -> Result:
        """Read a job's result; raises ResultNotReady or NoResult."""
        return self._ask(jobs.result(job_id))

    def jobs(self, limit: int | None = None, **filters: Unpack[Filters]) -> Iterator[Job]:
        """Give jobs, newest first; pages are read as they are needed."""
        return self._iterate(jobs.listed(filters, limit, self._retrying))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job; raises JobEnded."""
        return self._run(jobs.cancel(job_id, self._retrying))

    def remove(self, job_id: str) -> None:
        """Remove an ended job with all that is kept of it; raises JobNotEnded."""
        self._run(jobs.remove(job_id, self._retrying))

    def picture(self, job_id: str) -> bytes:
        """Read a job's picture, where pictures are kept."""
        return self._ask(jobs.kept(job_id, "picture"))

    def preview(self, job_id: str) -> bytes:
        """Read the picture with what was found drawn on it, a JPEG."""
        return self._ask(jobs.kept(job_id, "preview"))

    def job_deliveries(self, job_id: str) -> list[Delivery]:
        """Read how a job's end was told, with every attempt."""
        return self._ask(jobs.deliveries(job_id))

    def events(self, after: str = "now", subscriber: str = "") -> Iterator[Event]:
        """Give events for ever, from a stream that is resumed where it breaks.

        *after* is an event's id, ``start`` or ``now``. A named *subscriber* begins behind what it
        has acknowledged: what was given before it asked for more. So an event may come twice, and
        none is missed. Raises EventsTrimmed.
        """
        return self._iterate(
            events.followed("" if subscriber else after, subscriber, self._retrying)
        )

    def acknowledge(self, subscriber: str, cursor: str) -> SubscriberCursor:
        """Note that a subscriber has worked on all up to *cursor*, an event's id."""
        return self._ask(events.acknowledge(subscriber, cursor))

    def subscribers(self) -> list[SubscriberCursor]:
        """List the named subscribers."""
        return self._ask(events.subscribers())

    def forget_subscriber(self, subscriber: str) -> None:
        """Forget a named subscriber."""
        self._run(events.forget(subscriber, self._retrying))

    def submit_batch(
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
        return self._ask(
            batches.submit(
                batches.submission(
                    source,
                    {"model": model, **options},
                    content_type=content_type,
                    progress=progress,
                )
            )
        )

    def submit_batch_urls(
        self, urls: Sequence[str], *, model: str, **options: Unpack[BatchOptions]
    ) -> Batch:
        """Submit pictures that the server fetches, a job for each URL."""
        return self._ask(batches.submit(batches.url_submission(urls, {"model": model, **options})))

    def batch(self, batch_id: str) -> Batch:
        """Read how far a batch is, with its first item errors."""
        return self._ask(batches.batch(batch_id))

    def wait_batch(self, batch_id: str, timeout_s: float = 3600.0) -> Batch:
        """Give a batch when it has ended; raises StillRunning."""
        return self._run(batches.wait(batch_id, timeout_s, self._retrying))

    def follow_batch(self, batch_id: str, timeout_s: float = 3600.0) -> Iterator[Batch]:
        """Give a batch each time that it is looked at, to its end; raises StillRunning."""
        return self._iterate(batches.wait(batch_id, timeout_s, self._retrying))

    def batches(self, limit: int | None = None) -> Iterator[Batch]:
        """Give batches, newest first."""
        return self._iterate(batches.listed(limit, self._retrying))

    def batch_items(self, batch_id: str) -> Iterator[BatchItem]:
        """Give the items of a batch that are expanded, in their order."""
        return self._iterate(batches.items(batch_id, self._retrying))

    def batch_results(self, batch_id: str) -> Iterator[BatchItem]:
        """Give the items of a batch with the results that are there."""
        return self._iterate(batches.results(batch_id, self._retrying))

    def batch_results_as(self, batch_id: str, form: str) -> Iterator[bytes]:
        """Give the results as the server writes them, in pieces: ``jsonl`` or ``csv``."""
        return self._iterate(batches.raw_results(batch_id, form, self._retrying))

    def cancel_batch(self, batch_id: str) -> Batch:
        """Withdraw a batch; raises BatchEnded."""
        return self._ask(batches.cancel(batch_id))

    def models(self) -> list[Model]:
        """List the models."""
        return self._ask(administration.models())

    def model(self, name: str) -> Model:
        """Read a model."""
        return self._ask(administration.model(name))

    def load_model(self, name: str, version: str = "", wait_s: float = 0.0) -> ModelCommand:
        """Accept jobs for a model and put it on the device; waits for the dispatchers' answers."""
        return self._ask(administration.command("load", name, version=version, wait_s=wait_s))

    def unload_model(self, name: str, version: str = "", wait_s: float = 0.0) -> ModelCommand:
        """Accept no jobs for a model, and take it off the device when its jobs are through."""
        return self._ask(administration.command("unload", name, version=version, wait_s=wait_s))

    def reload_model(self, name: str, version: str = "", wait_s: float = 0.0) -> ModelCommand:
        """Read a model's files anew, and put it on the device."""
        return self._ask(administration.command("reload", name, version=version, wait_s=wait_s))

    def model_command(self, name: str, command_id: str) -> ModelCommand:
        """Read what became of a command."""
        return self._ask(administration.read_command(name, command_id))

    def devices(self) -> list[Device]:
        """List what the models run on."""
        return self._ask(administration.devices())

    def add_webhook(self, url: str, **options: Unpack[EndpointOptions]) -> Endpoint:
        """Register an endpoint; its secret is in this answer alone."""
        return self._ask(administration.add_endpoint(url, options))

    def webhooks(self) -> list[Endpoint]:
        """List the endpoints."""
        return self._ask(administration.endpoints())

    def webhook(self, endpoint_id: str) -> Endpoint:
        """Read an endpoint."""
        return self._ask(administration.endpoint(endpoint_id))

    def change_webhook(self, endpoint_id: str, **changes: Unpack[EndpointOptions]) -> Endpoint:
        """Change an endpoint; what is not named stays."""
        return self._ask(administration.change_endpoint(endpoint_id, changes))

    def remove_webhook(self, endpoint_id: str) -> None:
        """Forget an endpoint."""
        self._run(administration.remove_endpoint(endpoint_id, self._retrying))

    def rotate_webhook_secret(
        self, endpoint_id: str, overlap_s: int | None = None
    ) -> RotatedSecret:
        """Replace an endpoint's secret; for *overlap_s* the one before signs too."""
        return self._ask(administration.rotate_secret(endpoint_id, overlap_s))

    def test_webhook(self, endpoint_id: str) -> Example:
        """Have a signed example sent, and give what came of it."""
        return self._ask(administration.test_endpoint(endpoint_id))

    def deliveries(
        self, limit: int | None = None, **filters: Unpack[DeliveryFilters]
    ) -> Iterator[ListedDelivery]:
        """Give deliveries of webhooks, those of the newest events first."""
        return self._iterate(deliveries.listed(filters, limit, self._retrying))

    def delivery(self, delivery_id: str) -> ListedDelivery:
        """Read a delivery with its attempts."""
        return self._ask(deliveries.delivery(delivery_id))

    def resend(self, delivery_id: str) -> ListedDelivery:
        """Send a delivery again, under its own webhook-id."""
        return self._ask(deliveries.resend(delivery_id))

    def recover_webhook(self, endpoint_id: str, since: datetime) -> Operation:
        """Send again, in the background, what has failed since a moment."""
        return self._ask(deliveries.recover(endpoint_id, since))

    def replay_webhook(
        self,
        endpoint_id: str,
        since: datetime,
        until: datetime | None = None,
        *,
        only_missing: bool = False,
    ) -> Operation:
        """Send, in the background, the events of a time that pass the endpoint's filters."""
        return self._ask(deliveries.replay(endpoint_id, since, until, only_missing=only_missing))

    def operation(self, operation_id: str) -> Operation:
        """Read how far a recovery or a replay is."""
        return self._ask(deliveries.operation(operation_id))

    def create_key(
        self,
        tenant: str,
        *,
        description: str = "",
        scopes: Sequence[Scope] = (),
        expires_in_s: int | None = None,
    ) -> Key:
        """Make a key; its token is in this answer alone."""
        return self._ask(
            administration.create_key(
                tenant, description=description, scopes=scopes, expires_in_s=expires_in_s
            )
        )

    def keys(self) -> list[Key]:
        """List the keys."""
        return self._ask(administration.keys())

    def key(self, key_id: str) -> Key:
        """Read a key."""
        return self._ask(administration.key(key_id))

    def rotate_key(self, key_id: str, overlap_s: int | None = None) -> Key:
        """Give a key a new secret; for *overlap_s* the one before counts too."""
        return self._ask(administration.rotate_key(key_id, overlap_s))

    def revoke_key(self, key_id: str) -> None:
        """Revoke a key."""
        self._run(administration.revoke_key(key_id, self._retrying))

    def tenants(self) -> list[Tenant]:
        """List the tenants."""
        return self._ask(administration.tenants())

    def tenant(self, name: str) -> Tenant:
        """Read a tenant's settings."""
        return self._ask(administration.tenant(name))

    def set_tenant(self, name: str, **options: Unpack[TenantOptions]) -> Tenant:
        """Set what a tenant may; what is not named gets its default."""
        return self._ask(administration.set_tenant(name, options))

    def audit(self, limit: int = 100) -> list[AuditLine]:
        """Read the newest administrative acts."""
        return self._ask(administration.audit(limit))
