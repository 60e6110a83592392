"""One bounded exchange against receivers that behave well and badly."""

from __future__ import annotations

import asyncio
import time
import tracemalloc

import pytest

from egress.answer import Answer, Fault, FaultKind, Outcome
from egress.client import ClientLimits, EgressClient
from egress.exchange import Message, exchange
from egress.kept import KeepLimits
from egress.policy import EgressPolicy
from notifier.signing import sign
from pipeline.deliveries.signing_secret import SigningSecret
from tests.fakes.webhook_receiver import WebhookReceiver, answering
from tests.integration.egress.conftest import RecordingDialler, ScriptedResolver


async def post(
    client: EgressClient,
    url: str,
    *,
    body: bytes = b'{"type":"job.succeeded"}',
    deadline_s: float = 5.0,
    max_response_bytes: int = 4096,
) -> Outcome:
    """Post *body* as the notifier would."""
    message = Message(
        method="POST", url=url, headers=(("content-type", "application/json"),), body=body
    )
    return await exchange(
        client, message, deadline_s=deadline_s, max_response_bytes=max_response_bytes
    )


async def answer_of(client: EgressClient, url: str, **bounds: float) -> Answer:
    """Post, and expect an answer."""
    outcome = await post(client, url, **bounds)  # type: ignore[arg-type]  # bounds of two types
    assert isinstance(outcome, Answer), outcome
    return outcome


async def fault_of(client: EgressClient, url: str, **bounds: float) -> Fault:
    """Post, and expect a fault."""
    outcome = await post(client, url, **bounds)  # type: ignore[arg-type]  # bounds of two types
    assert isinstance(outcome, Fault), outcome
    return outcome


@pytest.mark.parametrize("status", [200, 204, 301, 401, 410, 429, 500])
async def test_a_status_is_an_answer(
    client: EgressClient, receiver: WebhookReceiver, status: int
) -> None:
    """Every status is an answer, whole, and the connection serves the next exchange."""
    for _ in range(3):
        answer = await answer_of(client, receiver.url(str(status)))

        assert answer.status == status
        assert not answer.truncated
        assert answer.fault is None
        assert 0 < answer.elapsed_ms < 5000

    assert len(receiver.requests) == 3
    assert receiver.connections == 1


async def test_what_is_sent_arrives(client: EgressClient, receiver: WebhookReceiver) -> None:
    """Body, path and own headers arrive as given; headers of the connection are the client's."""
    message = Message(
        method="POST",
        url=receiver.url("200/hook?key=v"),
        headers=(
            ("content-type", "application/json"),
            ("x-text", "ünï"),
            ("host", "other.example"),
            ("content-length", "1"),
            ("transfer-encoding", "chunked"),
        ),
        body=bytes(range(256)) * 4000,
    )

    outcome = await exchange(client, message, deadline_s=5, max_response_bytes=4096)

    assert isinstance(outcome, Answer)
    assert outcome.body == b"thank you"
    assert outcome.header("content-type") == "text/plain"
    request = receiver.requests[0]
    assert request.body == message.body
    assert request.path == "/200/hook?key=v"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["x-text"].encode("latin-1").decode("utf-8") == "ünï"
    assert "transfer-encoding" not in request.headers


@pytest.mark.parametrize("behaviour", ["hang", "drip-header"])
async def test_no_answer_ends_at_the_deadline(
    client: EgressClient, receiver: WebhookReceiver, behaviour: str
) -> None:
    """Silence and a header that drips in end at the deadline of the whole exchange."""
    started_s = time.monotonic()

    fault = await fault_of(client, receiver.url(behaviour), deadline_s=0.3)

    assert fault.kind is FaultKind.TIMEOUT
    assert 0.25 < time.monotonic() - started_s < 1.5


async def test_a_dripping_body_ends_at_the_deadline(
    client: EgressClient, receiver: WebhookReceiver
) -> None:
    """A body that drips in ends at the deadline too; the status had come and stands."""
    started_s = time.monotonic()

    answer = await answer_of(client, receiver.url("drip"), deadline_s=0.3)

    assert (answer.status, answer.truncated, answer.fault) == (200, True, FaultKind.TIMEOUT)
    assert 0 < len(answer.body) < 100
    assert time.monotonic() - started_s < 1.5


async def test_an_endless_body_is_cut(client: EgressClient, receiver: WebhookReceiver) -> None:
    """At most the allowed bytes are kept, soon and in little memory, and the connection dropped."""
    tracemalloc.start()
    try:
        before_bytes, _ = tracemalloc.get_traced_memory()
        answer = await answer_of(client, receiver.url("endless"), max_response_bytes=1000)
        peak_bytes = tracemalloc.get_traced_memory()[1] - before_bytes
    finally:
        tracemalloc.stop()

    assert (answer.status, answer.body, answer.truncated) == (200, b"x" * 1000, True)
    assert answer.fault is None
    assert peak_bytes < 8_000_000
    assert (await answer_of(client, receiver.url("200"))).status == 200
    assert receiver.connections == 2


async def test_a_body_of_just_the_limit_is_whole(
    client: EgressClient, receiver: WebhookReceiver
) -> None:
    """A body as long as the limit is not truncated, one byte more is."""
    receiver.behaviours["five"] = answering(200, body=b"12345")

    exact = await answer_of(client, receiver.url("five"), max_response_bytes=5)
    short = await answer_of(client, receiver.url("five"), max_response_bytes=4)

    assert (exact.body, exact.truncated) == (b"12345", False)
    assert (short.body, short.truncated) == (b"1234", True)


async def test_a_body_that_ends_with_the_connection_is_whole(
    client: EgressClient, receiver: WebhookReceiver
) -> None:
    """An HTTP/1.0 answer without a length is whole, and the next exchange connects anew."""
    for _ in range(2):
        answer = await answer_of(client, receiver.url("until-close"))

        assert (answer.status, answer.body, answer.truncated) == (200, b"old ways", False)
    assert receiver.connections == 2


async def test_a_bomb_is_not_inflated(client: EgressClient, receiver: WebhookReceiver) -> None:
    """A compressed body is kept as it came: nothing is inflated."""
    answer = await answer_of(client, receiver.url("gzip-bomb"), max_response_bytes=16_384)

    assert answer.body[:2] == b"\x1f\x8b"
    assert len(answer.body) == 16_384
    assert receiver.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("close", FaultKind.RESET),
        ("garbage", FaultKind.PROTOCOL),
        ("huge-header", FaultKind.PROTOCOL),
    ],
)
async def test_a_broken_answer_is_a_fault(
    client: EgressClient, receiver: WebhookReceiver, behaviour: str, kind: FaultKind
) -> None:
    """Each way of not answering has its kind, and the request is sent once."""
    fault = await fault_of(client, receiver.url(behaviour))

    assert fault.kind is kind
    assert fault.detail
    assert len(receiver.requests) == 1


async def test_a_reset_body_leaves_the_answer(
    client: EgressClient, receiver: WebhookReceiver
) -> None:
    """A connection reset in mid-body leaves the status and the part that came."""
    answer = await answer_of(client, receiver.url("reset"))

    assert (answer.status, answer.body) == (200, b"part")
    assert (answer.truncated, answer.fault) == (True, FaultKind.RESET)


async def test_many_headers_are_bounded(client: EgressClient, receiver: WebhookReceiver) -> None:
    """Of a large header the first 8 kB and 64 lines are kept."""
    receiver.behaviours["many"] = answering(200, *(f"X-{n}: v" for n in range(200)))
    receiver.behaviours["long"] = answering(200, "X-A: 1", "X-B: " + "v" * 9000)

    many = await answer_of(client, receiver.url("many"))
    long = await answer_of(client, receiver.url("long"))

    assert len(many.headers) == 64
    assert long.headers == (("x-a", "1"),)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/",
        "http://127.0.0.1:1/",
        "http://2130706433/",
        "http://user:secret@example.com/",
        "ftp://example.com/",
        "nonsense",
    ],
)
async def test_a_forbidden_target_is_a_fault(client: EgressClient, url: str) -> None:
    """A target that the policy or the parser refuses is a fault of one kind, telling no secret."""
    fault = await fault_of(client, url)

    assert fault.kind is FaultKind.TARGET_NOT_ALLOWED
    assert "secret" not in fault.detail


async def test_an_unknown_name_is_a_fault() -> None:
    """A name without an answer is a fault of kind dns."""
    client = EgressClient(EgressPolicy(), resolver=ScriptedResolver(), dialler=RecordingDialler())

    fault = await fault_of(client, "http://nowhere.example/")

    assert fault.kind is FaultKind.DNS
    await client.aclose()


async def test_a_refused_connection_is_a_fault(receiver: WebhookReceiver) -> None:
    """Where nobody listens the kind is connect."""
    client = EgressClient(EgressPolicy.parse(f"127.0.0.1/32:{receiver.port}"))
    await receiver.__aexit__(None, None, None)

    fault = await fault_of(client, receiver.url("200"))

    assert fault.kind is FaultKind.CONNECT
    await client.aclose()


async def test_a_kept_connection_that_was_closed_is_replaced(
    client: EgressClient, receiver: WebhookReceiver
) -> None:
    """A receiver that closes a kept connection upon the next request gets it on a new one."""
    receiver.script.extend(["200", "close", "204"])

    statuses = [(await answer_of(client, receiver.url("200"))).status for _ in range(2)]

    assert statuses == [200, 204]
    assert [request.connection for request in receiver.requests] == [1, 1, 2]


async def test_a_new_connection_that_is_closed_is_not_replaced(
    client: EgressClient, receiver: WebhookReceiver
) -> None:
    """On a new connection the same is a fault, so that a request is not sent over and over."""
    receiver.script.extend(["200", "close", "close", "200"])

    await answer_of(client, receiver.url("200"))
    fault = await fault_of(client, receiver.url("200"))

    assert fault.kind is FaultKind.RESET
    assert len(receiver.requests) == 3


async def test_an_answer_that_broke_off_is_not_asked_for_again(
    client: EgressClient, receiver: WebhookReceiver
) -> None:
    """Once a byte of an answer has come on a kept connection, the request is not sent again."""
    receiver.script.extend(["200", "garbage", "200"])

    await answer_of(client, receiver.url("200"))
    fault = await fault_of(client, receiver.url("200"))

    assert fault.kind is FaultKind.PROTOCOL
    assert len(receiver.requests) == 2


async def test_idle_connections_are_closed(receiver: WebhookReceiver) -> None:
    """A connection that nobody uses is closed after its idle time without further ado."""
    client = EgressClient(
        EgressPolicy.parse(f"127.0.0.1/32:{receiver.port}"),
        limits=ClientLimits(kept=KeepLimits(idle_s=0.05)),
    )
    await answer_of(client, receiver.url("200"))

    await receiver.wait_for_silence()

    assert (await answer_of(client, receiver.url("200"))).status == 200
    assert receiver.connections == 2
    await client.aclose()


@pytest.mark.parametrize(
    ("kept", "connections"), [(KeepLimits(age_s=0.0), 3), (KeepLimits(count=0), 3), (None, 1)]
)
async def test_a_connection_is_kept_within_bounds(
    receiver: WebhookReceiver, kept: KeepLimits | None, connections: int
) -> None:
    """Past its age, or with no room, a connection is not used again."""
    client = EgressClient(
        EgressPolicy.parse(f"127.0.0.1/32:{receiver.port}"),
        limits=ClientLimits(kept=kept or KeepLimits()),
    )

    for _ in range(3):
        await answer_of(client, receiver.url("200"))

    assert receiver.connections == connections
    await client.aclose()


async def test_exchanges_at_once_are_bounded_and_all_end(receiver: WebhookReceiver) -> None:
    """At most so many connections are busy as allowed, and a cancelled exchange frees its place."""
    client = EgressClient(
        EgressPolicy.parse(f"127.0.0.1/32:{receiver.port}"), limits=ClientLimits(max_busy=4)
    )
    hanging = [asyncio.create_task(post(client, receiver.url("hang"))) for _ in range(4)]
    await receiver.wait_for(4)

    waiting = await fault_of(client, receiver.url("200"), deadline_s=0.2)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    outcomes = await asyncio.gather(*(post(client, receiver.url("200")) for _ in range(40)))

    assert waiting.kind is FaultKind.TIMEOUT
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert receiver.connections <= 8
    await client.aclose()


async def test_a_signed_message_is_verified_by_the_receiver() -> None:
    """A receiver with the reference library takes what is signed with its secret, and only that."""
    secret, other = SigningSecret.generate(), SigningSecret.generate()
    body = '{"type":"job.succeeded","data":{"label":"猫"}}'.encode()
    async with WebhookReceiver(secret=secret.to_text()) as receiver:
        client = EgressClient(EgressPolicy.parse(f"127.0.0.1/32:{receiver.port}"))
        statuses = []
        for keys in ([secret], [other, secret], [other]):
            headers = sign(keys, message_id="msg_1", timestamp_unix_s=int(time.time()), body=body)
            message = Message(method="POST", url=receiver.url("204"), headers=headers, body=body)
            outcome = await exchange(client, message, deadline_s=5, max_response_bytes=0)
            assert isinstance(outcome, Answer)
            statuses.append(outcome.status)
        await client.aclose()

    assert statuses == [204, 204, 401]
    assert [request.is_verified for request in receiver.requests] == [True, True, False]
