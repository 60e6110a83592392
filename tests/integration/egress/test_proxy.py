"""Going out through a proxy: CONNECT to the judged address, TLS under the receiver's own name."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from egress.answer import Answer, Fault, FaultKind, Outcome
from egress.client import EgressClient, client_of
from egress.connect import tls_context
from egress.exchange import Message, exchange
from egress.policy import EgressPolicy
from egress.proxy import Proxy
from egress.settings import EgressSettings
from pipeline.errors import InvalidSettings
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.integration.egress.conftest import ScriptedResolver
from tests.integration.egress.test_tls import certificate, tls_receiver

__all__ = ["certificate", "tls_receiver"]


@dataclass(eq=False)
class FakeProxy:
    """A CONNECT proxy on loopback; wherever it is asked to go, it goes to *to_port* of loopback."""

    to_port: int
    refuse_with: str = ""
    heads: list[str] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
            if self.refuse_with:
                writer.write(f"HTTP/1.1 {self.refuse_with}\r\n\r\n".encode())
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            try:
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
            finally:
                far_writer.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def post(client: EgressClient, url: str) -> Outcome:
    """Post a body as the notifier would."""
    message = Message(method="POST", url=url, body=b"{}")
    return await exchange(client, message, deadline_s=5.0, max_response_bytes=4096)


def client_through(
    proxy: FakeProxy, *answer: str, tls: ssl.SSLContext | None = None
) -> EgressClient:
    """Give a client for which every name has the addresses *answer*."""
    dialler = Proxy.parse(f"http://gw:se%20cret@127.0.0.1:{proxy.port}")
    return EgressClient(EgressPolicy(), resolver=ScriptedResolver(answer), dialler=dialler, tls=tls)


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    """Give a running receiver."""
    async with WebhookReceiver() as running:
        yield running


async def test_the_proxy_is_asked_for_the_judged_address(receiver: WebhookReceiver) -> None:
    """Not for the name, which it would resolve anew; the Host header is the receiver's."""
    async with FakeProxy(receiver.port) as proxy:
        client = client_through(proxy, "8.8.8.8")

        outcome = await post(client, "http://subscriber.example/200")
        await client.aclose()

        assert isinstance(outcome, Answer)
        assert outcome.status == 200
        (head,) = proxy.heads
        lines = head.split("\r\n")
        assert lines[0] == "CONNECT 8.8.8.8:80 HTTP/1.1"
        expected = base64.b64encode(b"gw:se cret").decode()
        assert f"Proxy-Authorization: Basic {expected}" in lines
        (request,) = receiver.requests
        assert request.headers["host"] == "subscriber.example"
        assert "proxy-authorization" not in request.headers


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1"])
async def test_a_proxy_opens_no_forbidden_address(receiver: WebhookReceiver, address: str) -> None:
    """The policy is asked before the proxy: it hears nothing of what is forbidden."""
    async with FakeProxy(receiver.port) as proxy:
        client = client_through(proxy, "8.8.8.8", address)

        outcome = await post(client, "http://subscriber.example/200")
        await client.aclose()

        assert isinstance(outcome, Fault)
        assert outcome.kind is FaultKind.TARGET_NOT_ALLOWED
        assert proxy.heads == []


async def test_tls_is_spoken_with_the_receiver(
    tls_receiver: WebhookReceiver, certificate: Path
) -> None:
    """Through the tunnel the receiver's certificate is verified for the receiver's name."""
    async with FakeProxy(tls_receiver.port) as proxy:
        client = client_through(proxy, "8.8.8.8", tls=tls_context(certificate))

        good = await post(client, "https://subscriber.example/200")
        bad = await post(client, "https://other.example/200")
        await client.aclose()

        assert isinstance(good, Answer)
        assert good.status == 200
        assert isinstance(bad, Fault)
        assert bad.kind is FaultKind.TLS


@pytest.mark.parametrize("refuse_with", ["407 Proxy Authentication Required", "503 No", "nonsense"])
async def test_a_refusing_proxy_is_a_fault_that_says_so(
    receiver: WebhookReceiver, refuse_with: str
) -> None:
    """The fault is one of connecting, and names the proxy, not the receiver."""
    async with FakeProxy(receiver.port, refuse_with=refuse_with) as proxy:
        client = client_through(proxy, "8.8.8.8")

        outcome = await post(client, "http://subscriber.example/200")
        await client.aclose()

        assert isinstance(outcome, Fault)
        assert outcome.kind is FaultKind.CONNECT
        assert "proxy" in outcome.detail
        assert "se cret" not in outcome.detail
        assert receiver.connections == 0


async def test_a_dead_proxy_is_a_fault_that_says_so(receiver: WebhookReceiver) -> None:
    """Nobody listens where the proxy should be."""
    async with FakeProxy(receiver.port) as proxy:
        client = client_through(proxy, "8.8.8.8")

    outcome = await post(client, "http://subscriber.example/200")
    await client.aclose()

    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.CONNECT
    assert "proxy" in outcome.detail


async def test_a_receiver_that_asks_is_shown_our_certificate(certificate: Path) -> None:
    """With the settings' files the receiver's demand for a certificate is met, else it is not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    async with WebhookReceiver(tls=context) as receiver:
        policy = EgressPolicy.parse(f"127.0.0.1/32:{receiver.port}")
        outcomes = []
        for client_cert_file in (str(certificate), ""):
            settings = EgressSettings(ca_file=str(certificate), client_cert_file=client_cert_file)
            client = client_of(settings, policy)
            client._connector.tls.check_hostname = False  # the certificate is for a name
            outcomes.append(await post(client, receiver.url("200")))
            await client.aclose()

    shown, hidden = outcomes
    assert isinstance(shown, Answer)
    assert shown.status == 200
    assert not isinstance(hidden, Answer)


@pytest.mark.parametrize(
    "url",
    ["proxy:3128", "https://proxy:3128", "http://", "http://proxy:99999", "http://p/x", "ftp://p"],
)
def test_a_proxy_that_cannot_be_meant_is_refused(url: str) -> None:
    """At the start, with the setting's name and not its value."""
    with pytest.raises(InvalidSettings, match="GW_EGRESS_PROXY"):
        client_of(EgressSettings(proxy=url), EgressPolicy())


@pytest.mark.parametrize("name", ["ca_file", "client_cert_file"])
def test_a_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    """At the start, and not with the first delivery."""
    with pytest.raises(InvalidSettings, match="certificate"):
        client_of(EgressSettings(**{name: str(tmp_path / "none.pem")}), EgressPolicy())
