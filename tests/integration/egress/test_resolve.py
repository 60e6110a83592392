"""The system's resolver in its own threads: shared, bounded in time and number."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
import time
from collections.abc import Iterator

import pytest

from egress.ranges import IPAddress
from egress.resolve import ResolutionFailed, SystemResolver

ADDRESS = ipaddress.ip_address("8.8.8.8")


class SilentNameServer:
    """Answers nothing before it is told to; counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.speak = threading.Event()

    def __call__(self, host: str, port: int) -> tuple[IPAddress, ...] | ResolutionFailed:
        """Wait to be told, then answer."""
        self.asked.append(host)
        self.speak.wait(20)
        return (ADDRESS,)


@pytest.fixture
def silent() -> Iterator[SilentNameServer]:
    """Give a silent name server, and let its threads end after the test."""
    server = SilentNameServer()
    yield server
    server.speak.set()


async def test_the_hosts_file_is_asked() -> None:
    """A name of this machine resolves to its addresses, each of them once."""
    addresses = await SystemResolver()("localhost", 80)

    assert addresses
    assert all(address.is_loopback for address in addresses)
    assert len(set(addresses)) == len(addresses)


async def test_a_name_that_cannot_be_has_no_address() -> None:
    """What the system refuses to look up is a failed resolution."""
    with pytest.raises(ResolutionFailed):
        await SystemResolver()("a" * 64 + ".example", 80)


async def test_silence_ends_at_the_time_limit(silent: SilentNameServer) -> None:
    """A silent name server delays its own name by the time limit, and no other name at all."""
    resolver = SystemResolver(time_limit_s=0.2, ask=silent)
    started_s = time.monotonic()

    with pytest.raises(ResolutionFailed, match=r"within 0\.2 s"):
        await resolver("dead.example", 80)

    assert time.monotonic() - started_s < 2


async def test_a_name_asked_for_meanwhile_shares_the_lookup(silent: SilentNameServer) -> None:
    """Many exchanges with one name hold one thread, also after the first of them has given up."""
    resolver = SystemResolver(time_limit_s=10, ask=silent)
    waiting = [asyncio.create_task(resolver("slow.example", 80)) for _ in range(20)]
    await asyncio.sleep(0)

    waiting[0].cancel()
    silent.speak.set()
    answers = await asyncio.gather(*waiting[1:])

    assert answers == [(ADDRESS,)] * 19
    assert silent.asked == ["slow.example"]


async def test_a_finished_lookup_is_not_remembered(silent: SilentNameServer) -> None:
    """The next exchange asks again: what a name answers may have changed."""
    silent.speak.set()
    resolver = SystemResolver(ask=silent)

    for _ in range(2):
        await resolver("name.example", 80)

    assert silent.asked == ["name.example"] * 2


async def test_too_many_silent_names_fail_at_once(silent: SilentNameServer) -> None:
    """Past the limit of lookups a new name fails at once, and succeeds once there is room."""
    resolver = SystemResolver(time_limit_s=10, max_lookups=2, ask=silent)
    waiting = [asyncio.create_task(resolver(f"dead{n}.example", 80)) for n in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(ResolutionFailed, match="too many"):
        await resolver("live.example", 80)
    silent.speak.set()
    await asyncio.gather(*waiting)

    assert await resolver("live.example", 80) == (ADDRESS,)


async def test_a_failed_lookup_is_told_to_each_that_waits() -> None:
    """Each exchange that waited for a lookup gets an error of its own."""
    resolver = SystemResolver(ask=lambda host, port: ResolutionFailed("no such name"))

    errors = await asyncio.gather(
        *(resolver("nowhere.example", 80) for _ in range(3)), return_exceptions=True
    )

    assert [str(error) for error in errors] == ["no such name"] * 3
    assert len({id(error) for error in errors}) == 3
