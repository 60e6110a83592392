"""TLS: the certificate of the name is verified although a judged address is dialled."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from egress.answer import Answer, Fault, FaultKind, Outcome
from egress.client import EgressClient
from egress.connect import tls_context
from egress.exchange import Message, exchange
from egress.policy import EgressPolicy
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.integration.egress.conftest import RecordingDialler, ScriptedResolver


async def post(client: EgressClient, url: str) -> Outcome:
    """Post a body as the notifier would."""
    message = Message(method="POST", url=url, body=b"{}")
    return await exchange(client, message, deadline_s=5.0, max_response_bytes=4096)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a file with a fresh key and a self-signed certificate for subscriber.example."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    path = tmp_path_factory.mktemp("tls") / "subscriber.pem"
    subject = ["-subj", "/CN=subscriber", "-addext", "subjectAltName=DNS:subscriber.example"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run(
        [*command, "-keyout", str(path), "-out", str(path) + ".crt"],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
async def tls_receiver(certificate: Path) -> AsyncIterator[WebhookReceiver]:
    """Give a receiver that speaks TLS and records the name it is asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    async with WebhookReceiver(tls=context) as running:
        yield running


@pytest.mark.parametrize(
    ("host", "is_trusted", "reason"),
    [
        ("subscriber.example", True, None),
        ("other.example", True, "Hostname mismatch"),
        ("subscriber.example", False, "self-signed"),
    ],
)
async def test_the_certificate_is_that_of_the_name(
    tls_receiver: WebhookReceiver,
    certificate: Path,
    host: str,
    is_trusted: bool,
    reason: str | None,
) -> None:
    """Over TLS the name is verified although an address is dialled; else the fault is tls."""
    dialler = RecordingDialler()
    client = EgressClient(
        EgressPolicy(),
        resolver=ScriptedResolver(["8.8.8.8", "8.8.4.4"]),
        dialler=dialler,
        tls=tls_context(certificate if is_trusted else None),
    )

    outcomes = [await post(client, tls_receiver.url("200", host=host)) for _ in range(2)]

    for outcome in outcomes:
        if reason is None:
            assert isinstance(outcome, Answer)
            assert outcome.status == 200
        else:
            assert isinstance(outcome, Fault)
            assert outcome.kind is FaultKind.TLS
            assert reason in outcome.detail.replace("self signed", "self-signed")
    assert dialler.dialled == (["8.8.8.8"] if reason is None else ["8.8.8.8"] * 2)
    await client.aclose()


async def test_plain_text_is_no_tls() -> None:
    """A receiver that answers a TLS greeting in plain text is a fault of kind tls."""
    is_over = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        is_over.set()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = EgressClient(EgressPolicy.parse(f"127.0.0.1/32:{port}"))

        outcome = await post(client, f"https://127.0.0.1:{port}/")
        async with asyncio.timeout(5):
            await is_over.wait()

    assert isinstance(outcome, Fault)
    assert outcome.kind is FaultKind.TLS
    await client.aclose()
