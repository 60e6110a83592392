"""``gw webhooks``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TextIO

import click
from redis.asyncio import Redis

from egress.asymmetric_key import PublicKey
from egress.brokers import is_broker, parse_broker
from egress.targets import parse_target
from gw.commands.webhooks_again import recover, replay
from gw.job_store import in_job_store
from gw.options import data_option, json_option, tenant_option
from gw.table import day_of, render_table
from gw.webhook_capture import CAPTURED_MAX_BYTES, parse_captured, utc_of
from gw.webhook_example import send_example
from notifier.signing import ID_HEADER, TIMESTAMP_HEADER, verify
from pipeline.deliveries.delivery import DeliveryState
from pipeline.deliveries.endpoints import Endpoint, EndpointStore
from pipeline.deliveries.receivers import Health, ReceiverStore
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.errors import InvalidRequest, NotFound
from pipeline.events.event import SUBSCRIBABLE
from pipeline.ids import new_id
from pipeline.protocol import Keyspace


@click.group("webhooks")
def command() -> None:
    """Add, list, test and remove webhook endpoints, and verify what one received."""


command.add_command(recover)
command.add_command(replay)


@command.command("add")
@click.argument("url")
@tenant_option
@click.option("--description", default="", help="Whose endpoint it is.")
@click.option(
    "--secret-file",
    type=click.File(encoding="utf-8"),
    help="A signing secret to use (whsec_...); else one is made and printed, this once.",
)
@click.option(
    "--event",
    "event_types",
    multiple=True,
    type=click.Choice(SUBSCRIBABLE),
    help="Get these events without being named; may be repeated.",
)
@data_option
def add(  # each is an option of the command
    *,
    url: str,
    tenant: str,
    description: str,
    secret_file: TextIO | None,
    event_types: tuple[str, ...],
    data_dir: Path | None,
) -> None:
    """Register URL, so that jobs can name it by id, or for all --event events of its tenant.

    Prints the id, then a new secret. The API (/v1/webhooks) has more to choose from.
    """
    if is_broker(url):
        parse_broker(url)
    else:
        parse_target(url)
    text = secret_file.read().strip() if secret_file else ""
    secret = SigningSecret.parse(text) if secret_file else SigningSecret.generate()
    now_unix_ms = time.time_ns() // 1_000_000
    endpoint = Endpoint(
        endpoint_id=new_id("ep", now_unix_ms),
        tenant=tenant,
        url=url,
        description=description,
        created_unix_ms=now_unix_ms,
        secret=secret.to_text(),
        event_types=event_types,
    )
    in_job_store(data_dir, lambda redis, keys: EndpointStore(redis, keys).add(endpoint))
    click.echo(endpoint.endpoint_id)
    if secret_file is None:
        click.echo(secret.to_text())
        click.echo("This is the only time that the secret is shown.", err=True)


@command.command("list")
@data_option
@json_option
def list_endpoints(*, data_dir: Path | None, as_json: bool) -> None:
    """Show the endpoints, without their secrets."""
    endpoints = in_job_store(data_dir, _with_health)
    endpoints.sort(key=lambda pair: pair[0].created_unix_ms)
    if as_json:
        shown = [
            {
                "endpoint_id": each.endpoint_id,
                "tenant": each.tenant,
                "url": each.url,
                "description": each.description,
                "created_unix_ms": each.created_unix_ms,
                "event_types": list(each.event_types),
                "enabled": each.enabled and not health.disabled_reason,
                "disabled_reason": health.disabled_reason,
                "failures": health.failures,
            }
            for each, health in endpoints
        ]
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    rows = [
        (
            each.endpoint_id,
            each.tenant,
            day_of(each.created_unix_ms),
            _state(each, health),
            " ".join(each.event_types) or "when named",
            each.url,
            each.description,
        )
        for each, health in endpoints
    ]
    columns = ("endpoint", "tenant", "added", "state", "events", "url", "description")
    click.echo(render_table(columns, rows))


@command.command("remove")
@click.argument("endpoint_id")
@data_option
def remove(*, endpoint_id: str, data_dir: Path | None) -> None:
    """Forget the endpoint ENDPOINT_ID: jobs can no longer name it."""
    removed = in_job_store(
        data_dir, lambda redis, keys: EndpointStore(redis, keys).remove(endpoint_id)
    )
    if not removed:
        raise NotFound(f"there is no endpoint {endpoint_id}")
    click.echo(f"the endpoint {endpoint_id} is removed")


@command.command("test")
@click.argument("endpoint_id")
@data_option
@json_option
def test(*, endpoint_id: str, data_dir: Path | None, as_json: bool) -> None:
    """Have the notifier send a signed example to ENDPOINT_ID; show what was sent and answered."""
    delivery, attempt = in_job_store(
        data_dir, lambda redis, keys: send_example(redis, keys, endpoint_id)
    )
    request = json.loads(attempt.request or '{"headers":{},"body":""}')
    delivered = delivery.state is DeliveryState.DELIVERED
    if as_json:
        answer = {"status": attempt.status, "error": attempt.error, "body": attempt.answer}
        shown = {"delivered": delivered, "request": request, "answer": answer}
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        for name, value in request["headers"].items():
            click.echo(f"> {name}: {value}")
        click.echo(f">\n> {request['body']}\n")
        click.echo(f"< {attempt.status or attempt.error} after {attempt.duration_ms} ms")
        click.echo(f"< {attempt.answer}")
    if not delivered:
        raise click.exceptions.Exit(1)


@command.command("verify")
@click.option(
    "--key-file",
    type=click.File(encoding="utf-8"),
    required=True,
    help="The endpoint's secret (whsec_...) or public key (whpk_...); several, one a line.",
)
@click.option(
    "--at",
    "at_unix_s",
    type=float,
    help="When it came, in Unix seconds [its own webhook-timestamp: only the signature is judged].",
)
def verify_request(*, key_file: TextIO, at_unix_s: float | None) -> None:
    """Verify a captured request on standard input: its headers, an empty line, its body.

    Prints which id is proven, or says why nothing is.
    """
    keys = [_parse_key(line.strip()) for line in key_file.read().splitlines() if line.strip()]
    if not keys:
        raise InvalidRequest("the key file has no key")
    headers, body = parse_captured(sys.stdin.buffer.read(CAPTURED_MAX_BYTES + 1))
    stamp = headers.get(TIMESTAMP_HEADER, "")
    moment_unix_s = float(stamp) if stamp.isascii() and stamp.isdecimal() else 0.0
    verify(keys, headers, body, now_unix_s=moment_unix_s if at_unix_s is None else at_unix_s)
    click.echo(f"the signature is good: {headers[ID_HEADER]}, signed {utc_of(moment_unix_s)}")


def _parse_key(text: str) -> SigningSecret | PublicKey:
    return PublicKey.parse(text) if text.startswith("whpk_") else SigningSecret.parse(text)


async def _with_health(redis: Redis, keys: Keyspace) -> list[tuple[Endpoint, Health]]:
    endpoints = await EndpointStore(redis, keys).all()
    ids = [each.endpoint_id for each in endpoints]
    return list(zip(endpoints, await ReceiverStore(redis, keys).get_many(ids), strict=True))


def _state(endpoint: Endpoint, health: Health) -> str:
    if health.disabled_reason:
        return f"disabled: {health.disabled_reason}"
    if not endpoint.enabled:
        return "disabled"
    return f"failing ({health.failures})" if health.failures else "ok"
