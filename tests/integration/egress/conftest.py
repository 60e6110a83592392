"""A receiver on loopback, and clients whose resolver and dialler record instead of deciding."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Sequence

import httpcore
import pytest

from egress.client import EgressClient
from egress.policy import EgressPolicy
from egress.ranges import IPAddress
from egress.resolve import ResolutionFailed
from egress.stream import Stream, dial
from egress.targets import Target
from tests.fakes.webhook_receiver import WebhookReceiver


class ScriptedResolver:
    """Answers from *answers*, one after the other; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = [[ipaddress.ip_address(a) for a in answer] for answer in answers]
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        """Give the next answer; an empty script is a name that does not exist."""
        self.asked.append(host)
        if not self._answers:
            raise ResolutionFailed("the host's name was not resolved")
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class RecordingDialler:
    """Records what it is asked to dial, and dials loopback addresses alone.

    An address in *dead* refuses the connection, one in *silent* takes all its time. Any other ends
    up at the same port of 127.0.0.1: a test shows where the client would have gone without going
    there.
    """

    def __init__(self, *, dead: Sequence[str] = (), silent: Sequence[str] = ()) -> None:
        self.dialled: list[str] = []
        self._dead = dead
        self._silent = silent

    async def __call__(
        self, address: IPAddress, target: Target, tls: ssl.SSLContext, *, time_limit_s: float
    ) -> Stream:
        """Record *address*, then connect to 127.0.0.1 in its place."""
        self.dialled.append(str(address))
        if str(address) in self._dead:
            raise httpcore.ConnectError("refused")
        if str(address) in self._silent:
            await asyncio.sleep(time_limit_s)
            raise httpcore.ConnectTimeout("silent")
        loopback = ipaddress.IPv4Address("127.0.0.1")
        return await dial(loopback, target, tls, time_limit_s=time_limit_s)


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    """Give a running receiver."""
    async with WebhookReceiver() as running:
        yield running


@pytest.fixture
async def client(receiver: WebhookReceiver) -> AsyncIterator[EgressClient]:
    """Give a client that may dial the receiver and nothing else that is not public."""
    opened = EgressClient(EgressPolicy.parse(f"127.0.0.1/32:{receiver.port}"))
    yield opened
    await opened.aclose()
