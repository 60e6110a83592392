"""Fetching a picture by URL: the bytes, or an error of its own for each way to fail."""

from __future__ import annotations

import asyncio
import time

import pytest

from egress.client import EgressClient
from egress.fetch import (
    FetchEncoded,
    FetchFailed,
    FetchRedirected,
    FetchRefused,
    FetchTimedOut,
    FetchTooLarge,
    FetchUnreachable,
    fetch,
)
from egress.policy import EgressPolicy
from pipeline.errors import InvalidRequest, TargetNotAllowed
from tests.fakes.webhook_receiver import WebhookReceiver, answering
from tests.integration.egress.conftest import RecordingDialler, ScriptedResolver

PICTURE = bytes(range(256)) * 1000


async def announcing_200_001_bytes(writer: asyncio.StreamWriter) -> None:
    """Announce a large body and never send it."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 200001\r\n\r\n")
    await writer.drain()
    await asyncio.Event().wait()


@pytest.mark.parametrize("limit_bytes", [len(PICTURE), len(PICTURE) + 1])
async def test_a_picture_is_fetched_whole(
    client: EgressClient, receiver: WebhookReceiver, limit_bytes: int
) -> None:
    """The body comes back byte for byte, up to the very limit, over a kept connection."""
    receiver.behaviours["picture"] = answering(200, "Content-Type: image/jpeg", body=PICTURE)

    for _ in range(2):
        body = await fetch(
            client, receiver.url("picture?key=secret"), max_bytes=limit_bytes, deadline_s=5
        )
        assert body == PICTURE

    assert receiver.requests[0].method == "GET"
    assert receiver.requests[0].path == "/picture?key=secret"
    assert receiver.connections == 1


@pytest.mark.parametrize(
    ("behaviour", "error", "code"),
    [
        ("204", FetchRefused, "fetch_refused"),
        ("401", FetchRefused, "fetch_refused"),
        ("500", FetchRefused, "fetch_refused"),
        ("301", FetchRedirected, "fetch_redirected"),
        ("announced", FetchTooLarge, "fetch_too_large"),
        ("endless", FetchTooLarge, "fetch_too_large"),
        ("gzip-bomb", FetchEncoded, "fetch_encoded"),
        ("hang", FetchTimedOut, "fetch_timed_out"),
        ("drip", FetchTimedOut, "fetch_timed_out"),
        ("drip-header", FetchTimedOut, "fetch_timed_out"),
        ("reset", FetchUnreachable, "fetch_unreachable"),
        ("close", FetchUnreachable, "fetch_unreachable"),
        ("garbage", FetchUnreachable, "fetch_unreachable"),
        ("huge-header", FetchUnreachable, "fetch_unreachable"),
    ],
)
async def test_each_way_to_fail_has_its_error(
    client: EgressClient,
    receiver: WebhookReceiver,
    behaviour: str,
    error: type[FetchFailed],
    code: str,
) -> None:
    """Whatever the server does, the fetch ends soon with the error for it, and shows no query."""
    receiver.behaviours["announced"] = announcing_200_001_bytes
    started_s = time.monotonic()

    with pytest.raises(error) as caught:
        await fetch(
            client, receiver.url(f"{behaviour}?key=secret"), max_bytes=200_000, deadline_s=0.5
        )

    assert type(caught.value) is error
    assert caught.value.code == code
    assert isinstance(caught.value, InvalidRequest)
    assert caught.value.field == "url"
    assert "secret" not in str(caught.value)
    assert time.monotonic() - started_s < 3
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://[::ffff:10.0.0.1]/x.jpg"])
async def test_a_forbidden_target_is_told_as_such(client: EgressClient, url: str) -> None:
    """The policy's refusal comes out as it is."""
    with pytest.raises(TargetNotAllowed):
        await fetch(client, url, max_bytes=1000, deadline_s=5)


async def test_a_malformed_url_is_told_as_such(client: EgressClient) -> None:
    """The parser's refusal comes out as it is."""
    with pytest.raises(InvalidRequest) as caught:
        await fetch(client, "http://2130706433/", max_bytes=1000, deadline_s=5)

    assert not isinstance(caught.value, FetchFailed)


async def test_an_unknown_name_is_unreachable() -> None:
    """A name without an answer is told as unreachable, with the reason."""
    client = EgressClient(EgressPolicy(), resolver=ScriptedResolver(), dialler=RecordingDialler())

    with pytest.raises(FetchUnreachable, match="name was not resolved"):
        await fetch(client, "http://nowhere.example/x.jpg", max_bytes=1000, deadline_s=5)

    await client.aclose()
