"""The byte stream over a socket: memory stays bounded in both directions."""

from __future__ import annotations

import asyncio
import ipaddress

import httpcore
import pytest

from egress.connect import tls_context
from egress.stream import Stream, dial
from egress.targets import parse_target
from tests.fakes.webhook_receiver import WebhookReceiver


async def connect(receiver: WebhookReceiver) -> Stream:
    """Dial the receiver."""
    address = ipaddress.ip_address("127.0.0.1")
    target = parse_target(receiver.url())
    return await dial(address, target, tls_context(), time_limit_s=5)


async def test_a_reader_that_waits_takes_no_memory(receiver: WebhookReceiver) -> None:
    """While nobody reads, little more is taken from the peer; reading takes it up again."""
    stream = await connect(receiver)
    await stream.write(b"GET /endless HTTP/1.1\r\n\r\n")

    await asyncio.sleep(0.3)
    held_bytes = stream.heard_bytes
    read_bytes = 0
    async with asyncio.timeout(10):
        while read_bytes < 5_000_000:
            read_bytes += len(await stream.read(65_536))

    assert 0 < held_bytes < 1_000_000
    assert stream.heard_bytes - read_bytes < 1_000_000
    await stream.aclose()


async def test_a_writer_waits_for_a_peer_that_does_not_read(receiver: WebhookReceiver) -> None:
    """Writing to a peer that takes nothing waits instead of buffering, up to its time limit."""
    stream = await connect(receiver)
    await stream.write(b"POST /hang HTTP/1.1\r\n\r\n")
    await receiver.wait_for(1)

    with pytest.raises(httpcore.WriteTimeout):
        await stream.write(bytes(30_000_000), timeout=0.2)

    await stream.aclose()


async def test_a_read_has_a_time_limit(receiver: WebhookReceiver) -> None:
    """A read from a silent peer ends at its own time limit, and the stream can be read again."""
    stream = await connect(receiver)
    await stream.write(b"GET /hang HTTP/1.1\r\n\r\n")

    for _ in range(2):
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(100, timeout=0.05)

    await stream.aclose()


async def test_the_end_is_told_after_what_came(receiver: WebhookReceiver) -> None:
    """What came before the end is read first, in the pieces asked for; then the end, for ever."""
    stream = await connect(receiver)
    await stream.write(b"GET /until-close HTTP/1.1\r\n\r\n")

    heard = b""
    while piece := await stream.read(5):
        assert len(piece) <= 5
        heard += piece

    assert heard.endswith(b"old ways")
    assert stream.is_readable()
    assert await stream.read(5) == b""
    with pytest.raises(httpcore.WriteError):
        await stream.write(b"more")
