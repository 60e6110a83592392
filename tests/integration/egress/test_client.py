"""The client against real servers: which address is judged, which is dialled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpcore
import pytest

from egress.client import ClientLimits, EgressClient
from egress.policy import EgressPolicy
from egress.resolve import ResolutionFailed
from egress.targets import parse_target
from pipeline.errors import InvalidRequest, TargetNotAllowed
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.integration.egress.conftest import RecordingDialler, ScriptedResolver

PUBLIC = "8.8.8.8"
ALSO_PUBLIC = "2606:4700:4700::1111"


async def get(client: EgressClient, url: str) -> tuple[int, bytes]:
    """Ask for *url*; give status and body."""
    response = await client.send("GET", parse_target(url))
    try:
        return response.status, b"".join([chunk async for chunk in response.chunks()])
    finally:
        await response.aclose()


class Door:
    """A client over a scripted resolver and a recording dialler."""

    def __init__(
        self, *answers: list[str], dead: tuple[str, ...] = (), silent: tuple[str, ...] = ()
    ) -> None:
        self.resolver = ScriptedResolver(*answers)
        self.dialler = RecordingDialler(dead=dead, silent=silent)
        self.client = EgressClient(
            EgressPolicy(),
            resolver=self.resolver,
            dialler=self.dialler,
            limits=ClientLimits(connect_s=0.4),
        )

    async def get(self, url: str) -> tuple[int, bytes]:
        """Ask for *url*; give status and body."""
        return await get(self.client, url)


@pytest.fixture
async def doors() -> AsyncIterator[list[Door]]:
    """Collect the doors a test opens, and close them."""
    opened: list[Door] = []
    yield opened
    for door in opened:
        await door.client.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::127.0.0.1]/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://8.8.8.8:6379/",
        "https://192.168.0.1/",
        "http://user:secret@8.8.8.8/",
    ],
)
async def test_a_forbidden_literal_is_not_dialled(doors: list[Door], url: str) -> None:
    """A forbidden address is TargetNotAllowed, with nothing dialled."""
    door = Door()
    doors.append(door)

    with pytest.raises(TargetNotAllowed):
        await door.get(url)

    assert door.dialler.dialled == []
    assert door.resolver.asked == []


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f.1", "2130706433", "0", "0177.0.0.1", "0x7f000001", "127.0.1", "017700000001"],
)
async def test_an_odd_spelling_is_not_dialled(doors: list[Door], host: str) -> None:
    """A number that some libraries take for loopback is refused before anybody resolves it."""
    door = Door()
    doors.append(door)

    with pytest.raises(InvalidRequest):
        await door.get(f"http://{host}/")

    assert door.dialler.dialled == []
    assert door.resolver.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        [PUBLIC, "10.0.0.1"],
        ["10.0.0.1", PUBLIC],
        [PUBLIC, ALSO_PUBLIC, "::ffff:169.254.169.254"],
        [PUBLIC, "fe80::1"],
        [],
    ],
)
async def test_a_mixed_answer_is_not_dialled(doors: list[Door], answer: list[str]) -> None:
    """A name with any forbidden address is refused whole: not even its public one is dialled."""
    door = Door(answer)
    doors.append(door)

    with pytest.raises(TargetNotAllowed):
        await door.get("http://subscriber.example/")

    assert door.dialler.dialled == []


async def test_a_name_that_turns_to_loopback_is_not_followed(
    doors: list[Door], receiver: WebhookReceiver
) -> None:
    """Each connection asks once and dials that answer: rebinding gets the old address or none."""
    door = Door([PUBLIC], ["127.0.0.1"])
    doors.append(door)
    url = receiver.url("close-after", host="rebinding.example")

    first = await door.get(url)
    with pytest.raises(TargetNotAllowed):
        await door.get(url)

    assert first == (200, b"bye")
    assert door.resolver.asked == ["rebinding.example"] * 2
    assert door.dialler.dialled == [PUBLIC]


async def test_the_judged_address_is_dialled_and_the_name_is_sent(
    doors: list[Door], receiver: WebhookReceiver
) -> None:
    """The connection goes to the vetted address while the Host header stays the name."""
    door = Door(["::ffff:" + PUBLIC, ALSO_PUBLIC])
    doors.append(door)

    status, _ = await door.get(receiver.url("200", host="subscriber.example"))

    assert status == 200
    assert door.dialler.dialled == [PUBLIC]
    assert receiver.requests[0].headers["host"] == f"subscriber.example:{receiver.port}"


async def test_the_next_judged_address_is_tried(
    doors: list[Door], receiver: WebhookReceiver
) -> None:
    """An address that refuses the connection is followed by the next one of the same answer."""
    door = Door([ALSO_PUBLIC, PUBLIC, "1.1.1.1"], dead=(ALSO_PUBLIC,))
    doors.append(door)

    status, _ = await door.get(receiver.url("200", host="subscriber.example"))

    assert status == 200
    assert door.dialler.dialled == [ALSO_PUBLIC, PUBLIC]
    assert door.resolver.asked == ["subscriber.example"]


async def test_a_long_answer_is_not_dialled_through(doors: list[Door]) -> None:
    """Of an answer with many dead addresses four are tried, and the call ends as ConnectError."""
    dead = tuple(f"8.8.4.{n}" for n in range(40))
    door = Door(list(dead), dead=dead)
    doors.append(door)

    with pytest.raises(httpcore.ConnectError):
        await door.get("http://subscriber.example/")

    assert door.dialler.dialled == list(dead[:4])


async def test_a_name_without_an_answer_has_an_error_of_its_own(doors: list[Door]) -> None:
    """A failed lookup is told apart from a failed connection."""
    door = Door()
    doors.append(door)

    with pytest.raises(ResolutionFailed):
        await door.get("http://nowhere.example/")

    assert door.dialler.dialled == []


async def test_a_kept_connection_is_used_again(
    client: EgressClient, receiver: WebhookReceiver
) -> None:
    """Requests one after the other share a connection."""
    answers = [await get(client, receiver.url("200")) for _ in range(3)]

    assert answers == [(200, b"thank you")] * 3
    assert receiver.connections == 1


async def test_a_redirect_is_an_answer(client: EgressClient, receiver: WebhookReceiver) -> None:
    """A redirect, here to a metadata service, is handed back and not followed."""
    status, _ = await get(client, receiver.url("301"))

    assert status == 301
    assert len(receiver.requests) == 1


async def test_the_environment_names_no_proxy(
    client: EgressClient, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proxy variables have no say: the request arrives at its own target."""
    async with WebhookReceiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        await get(client, receiver.url("200"))

        assert proxy.requests == []
    assert len(receiver.requests) == 1


async def test_no_compression_is_asked_for(client: EgressClient, receiver: WebhookReceiver) -> None:
    """The request asks for the body as it is."""
    await get(client, receiver.url("200"))

    assert receiver.requests[0].headers["accept-encoding"] == "identity"


async def test_a_silent_address_leaves_time_for_the_next(
    doors: list[Door], receiver: WebhookReceiver
) -> None:
    """An address that never answers uses up its share of the time to connect, not all of it."""
    door = Door([ALSO_PUBLIC, PUBLIC], silent=(ALSO_PUBLIC,))
    doors.append(door)

    status, _ = await door.get(receiver.url("200", host="subscriber.example"))

    assert status == 200
    assert door.dialler.dialled == [ALSO_PUBLIC, PUBLIC]


async def test_a_name_of_silent_addresses_ends_as_a_timeout(doors: list[Door]) -> None:
    """Where no address answers, the error is a ConnectTimeout, within the time to connect."""
    door = Door([ALSO_PUBLIC, PUBLIC], silent=(ALSO_PUBLIC, PUBLIC))
    doors.append(door)

    async with asyncio.timeout(5):
        with pytest.raises(httpcore.ConnectTimeout):
            await door.get("http://subscriber.example/")
