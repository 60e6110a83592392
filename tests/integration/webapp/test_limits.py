"""Requests that are too large, too slow, too many or not HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.integration.webapp.conftest import Look
from tests.integration.webapp.raw_http import connected
from tests.integration.webapp.running import PICTURE, Webapp, running
from tests.waiting import wait_until
from webapp import http_protocol

MIB = 1024 * 1024


def head(webapp: Webapp, *lines: str, path: str = "/v1/jobs?model=echo") -> bytes:
    """Write the head of a submission with a valid key."""
    start = [f"POST {path} HTTP/1.1", "Host: gw", f"Authorization: Bearer {webapp.token}"]
    return "\r\n".join([*start, "Content-Type: image/jpeg", *lines, "", ""]).encode()


async def test_json_of_50_mb_is_refused_unread(webapp: Webapp, look: Look) -> None:
    """Its length says enough; the sender may finish, and the connection lives on."""
    before = await look()
    body = json.dumps({"model": "echo", "picture": "A" * 50_000_000}).encode()

    answer = await webapp.http.post(
        "/v1/jobs", content=body, headers={"content-type": "application/json"}
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert await look() == before
    assert webapp.parts.budget.held_bytes == 0
    assert (await webapp.post()).status_code == 202


async def test_chunked_json_of_50_mb_is_refused_at_the_limit(webapp: Webapp, look: Look) -> None:
    """Without a length it is read up to the limit, and not beyond."""
    before = await look()
    largest_bytes = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal largest_bytes
        for _ in range(50):
            yield b" " * 1_000_000
            largest_bytes = max(largest_bytes, webapp.parts.budget.held_bytes)

    answer = await webapp.http.post(
        "/v1/jobs", content=pieces(), headers={"content-type": "application/json"}
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert 0 < largest_bytes <= webapp.parts.settings.uploads.json_limit_bytes
    assert await look() == before


async def test_a_chunked_picture_over_the_limit_is_refused(
    environ: dict[str, str], token: str, look: Look
) -> None:
    """What counts is what really came."""
    environ["GW_PICTURE_MAX_BYTES"] = "100000"
    async with running(environ, token=token) as webapp, connected(webapp.port) as connection:
        before = await look()
        await connection.send(head(webapp, "Transfer-Encoding: chunked"))
        await connection.send(b"186a1\r\n" + PICTURE.ljust(100_001, b"x") + b"\r\n0\r\n\r\n")
        answer = await connection.answer()

    assert answer.status == 413
    assert answer.problem()["code"] == "body_too_large"
    assert await look() == before


async def test_a_large_part_of_a_form_is_refused(
    environ: dict[str, str], token: str, look: Look
) -> None:
    """Each picture has the limit of a single one, and the whole form one of its own."""
    environ |= {"GW_PICTURE_MAX_BYTES": "10000", "GW_REQUEST_MAX_BYTES": "20000"}
    async with running(environ, token=token) as webapp:
        before = await look()
        one = [("picture", ("x", PICTURE.ljust(10_001)))]
        many = [("picture", ("x", PICTURE.ljust(10_000)))] * 30
        answers = [
            await webapp.http.post("/v1/jobs", files=files, data={"model": "echo"})
            for files in (one, many)
        ]

    assert [answer.status_code for answer in answers] == [413, 413]
    assert await look() == before


async def test_a_length_that_lies_is_not_believed(
    environ: dict[str, str], token: str, look: Look
) -> None:
    """A body shorter than claimed is waited for, then given up; the rest of a longer one is cut."""
    environ["GW_UPLOAD_TIMEOUT_S"] = "0.3"
    async with running(environ, token=token) as webapp:
        before = await look()
        async with connected(webapp.port) as connection:
            await connection.send(head(webapp, f"Content-Length: {len(PICTURE) + 1}") + PICTURE)
            too_short = await connection.answer()
        async with connected(webapp.port) as connection:
            await connection.send(head(webapp, f"Content-Length: {len(PICTURE) - 1}") + PICTURE)
            too_long = await connection.answer()

    assert (too_short.status, too_short.problem()["code"]) == (408, "upload_timed_out")
    assert (too_long.status, too_long.problem()["code"]) == (422, "invalid_picture")
    assert await look() == before


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: -1",),
        ("Content-Length: 99999999999999999999999",),
        ("no colon",),
        ("Bad\x00Name: x",),
    ],
)
async def test_what_is_not_http_is_refused(
    webapp: Webapp, look: Look, lines: tuple[str, ...]
) -> None:
    """Contradictory framing is how requests are smuggled: 400, and the connection ends."""
    before = await look()

    async with connected(webapp.port) as connection:
        await connection.send(head(webapp, *lines) + b"hello")
        answer = await connection.answer()
        is_closed = await connection.is_closed()

    assert answer.status == 400
    assert answer.problem()["code"] == "bad_request"
    assert is_closed
    assert await look() == before


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n", b"GET / HTTP/9\r\n\r\n"],
)
async def test_garbage_is_answered_and_hung_up_on(webapp: Webapp, garbage: bytes) -> None:
    """TLS on the plain port, for one."""
    async with connected(webapp.port) as connection:
        await connection.send(garbage)
        answer = await connection.answer()

        assert answer.status == 400
        assert await connection.is_closed()


async def test_a_broken_chunk_ends_the_request(webapp: Webapp, look: Look) -> None:
    """What came before it is no picture, and the sender is told."""
    before = await look()

    async with connected(webapp.port) as connection:
        await connection.send(head(webapp, "Transfer-Encoding: chunked"))
        await connection.send(b"3e8\r\n" + PICTURE + b"\r\nnot a length\r\n")
        answer = await connection.answer()
        is_closed = await connection.is_closed()

    assert (answer.status, answer.problem()["code"]) == (400, "bad_request")
    assert is_closed
    await wait_until(lambda: webapp.parts.budget.held_bytes == 0)
    assert await look() == before


async def test_a_slow_upload_is_cut_off(environ: dict[str, str], token: str, look: Look) -> None:
    """A byte now and then does not hold a place for ever; others are not disturbed."""
    environ["GW_UPLOAD_TIMEOUT_S"] = "0.5"
    async with running(environ, token=token) as webapp:
        before = await look()
        async with connected(webapp.port) as connection:
            await connection.send(head(webapp, "Content-Length: 1000"))

            async def drip() -> None:
                while True:
                    await connection.send(b"\xff")
                    await asyncio.sleep(0.05)

            dripping = asyncio.ensure_future(drip())
            answer = await connection.answer()
            dripping.cancel()
        after = await look()

    assert (answer.status, answer.problem()["code"]) == (408, "upload_timed_out")
    assert after == before


async def test_ten_thousand_headers_are_refused(webapp: Webapp, look: Look) -> None:
    """In one piece or in many: 431, and the connection ends."""
    before = await look()
    lines = [f"X-Header-{n}: {n}" for n in range(10_000)]
    whole = head(webapp, "Content-Length: 0", *lines)

    async with connected(webapp.port) as connection:
        await connection.send(whole)
        at_once = await connection.answer()
        assert await connection.is_closed()
    async with connected(webapp.port) as connection:
        for start in range(0, len(whole), 1000):
            await connection.send(whole[start : start + 1000])
        in_pieces = await connection.answer()

    for answer in (at_once, in_pieces):
        assert (answer.status, answer.problem()["code"]) == (431, "headers_too_large")
    assert await look() == before
    assert (await webapp.post()).status_code == 202


async def test_a_hundred_headers_are_fine(webapp: Webapp) -> None:
    """Proxies add some."""
    own = 6  # httpx's and ours
    headers = {f"x-header-{n}": "x" for n in range(http_protocol.MAX_HEADERS - own - 2)}

    answer = await webapp.post(headers=headers)

    assert answer.status_code == 202


@pytest.mark.parametrize("piece", [b"x" * 4096, b"X-A: b\r\n" * 512])
async def test_a_head_without_an_end_is_refused(webapp: Webapp, piece: bytes) -> None:
    """One endless header, or endless headers, cost no more memory than the bound."""
    async with connected(webapp.port) as connection:
        await connection.send(b"GET /healthz HTTP/1.1\r\nX-Endless: ")
        sent_bytes = await connection.send_until_refused(piece, limit_bytes=4 * MIB)
        answer = await connection.answer()

    assert answer.status == 431
    assert sent_bytes <= 4 * MIB


async def test_a_long_url_is_refused(webapp: Webapp) -> None:
    """414, as a problem."""
    async with connected(webapp.port) as connection:
        await connection.send(b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: gw\r\n\r\n")
        answer = await connection.answer()

    assert (answer.status, answer.problem()["code"]) == (414, "uri_too_long")


async def test_trailers_without_an_end_are_refused(
    webapp: Webapp, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows a chunked body is bounded like a head."""
    monkeypatch.setattr(http_protocol, "LINGER_BYTES", 5 * MIB)
    before = await look()

    async with connected(webapp.port) as connection:
        await connection.send(head(webapp, "Transfer-Encoding: chunked"))
        await connection.send(b"1\r\nx\r\n0\r\nX-Trailer: ")
        await connection.send(b"x" * MIB)
        answer = await connection.answer()
        sent_bytes = await connection.send_until_refused(b"x" * 65_536, limit_bytes=200 * MIB)

    assert answer.status == 431
    assert sent_bytes < 200 * MIB
    assert await look() == before


async def test_a_head_that_does_not_come_is_not_waited_for(
    webapp: Webapp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silent connections are closed, half a head is answered first."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT_S", 0.2)

    async with connected(webapp.port) as silent, connected(webapp.port) as half:
        await half.send(b"GET /healthz HTTP/1.1\r\n")
        answer = await half.answer()
        is_closed = await silent.is_closed()

    assert (answer.status, answer.problem()["code"]) == (408, "request_timed_out")
    assert is_closed


async def test_the_rest_of_a_refused_body_is_not_read_for_ever(
    webapp: Webapp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the answer a sender gets some time and some bytes, then the connection ends."""
    monkeypatch.setattr(http_protocol, "LINGER_BYTES", 5 * MIB)
    monkeypatch.setattr(http_protocol, "LINGER_S", 0.3)

    async with connected(webapp.port) as greedy:
        await greedy.send(head(webapp, "Content-Length: 999999999"))
        answer = await greedy.answer()
        sent_bytes = await greedy.send_until_refused(b"x" * 65_536, limit_bytes=200 * MIB)
    async with connected(webapp.port) as idle:
        await idle.send(head(webapp, "Content-Length: 999999999"))
        await idle.answer()
        is_closed = await idle.is_closed()

    assert answer.status == 413
    assert sent_bytes < 200 * MIB
    assert is_closed


async def test_a_sender_that_leaves_in_the_middle_leaves_nothing(
    webapp: Webapp, look: Look
) -> None:
    """Half a picture is neither kept in memory nor on the disk."""
    before = await look()

    async with connected(webapp.port) as connection:
        await connection.send(head(webapp, f"Content-Length: {len(PICTURE)}") + PICTURE[:500])
        await wait_until(lambda: webapp.parts.budget.held_bytes == 500)

    await wait_until(lambda: webapp.parts.budget.held_bytes == 0)
    assert await look() == before


async def test_a_sender_that_asks_first_is_told_before_it_sends(webapp: Webapp) -> None:
    """With Expect: 100-continue a body that would be refused need not be sent at all."""
    async with connected(webapp.port) as connection:
        await connection.send(head(webapp, "Content-Length: 999999999", "Expect: 100-continue"))
        refusal = await connection.answer()
        is_closed = await connection.is_closed()
    async with connected(webapp.port) as connection:
        lines = (f"Content-Length: {len(PICTURE)}", "Expect: 100-continue")
        await connection.send(head(webapp, *lines))
        interim = await connection.interim_answer()
        await connection.send(PICTURE)
        final = await connection.answer()

    assert refusal.status == 413
    assert is_closed
    assert interim == b"HTTP/1.1 100 Continue"
    assert final.status == 202


async def test_all_uploads_together_have_a_bound(
    environ: dict[str, str], token: str, look: Look
) -> None:
    """Past it a request is told to come back, and the memory is free again afterwards."""
    environ["GW_UPLOADS_MEMORY_MB"] = "1"
    async with running(environ, token=token) as webapp:
        before = await look()
        answer = await webapp.post(PICTURE.ljust(2 * MIB))
        after = await look()
        small = await webapp.post()

    assert (answer.status_code, answer.json()["code"]) == (429, "overloaded")
    assert answer.headers["retry-after"] == "1"
    assert after == before
    assert small.status_code == 202


async def test_requests_on_one_connection_keep_their_order(webapp: Webapp) -> None:
    """Pipelined ones too, a large body among them."""
    body = PICTURE.ljust(300_000, b"\x00")
    first = head(webapp, f"Content-Length: {len(body)}") + body
    second = b"GET /healthz HTTP/1.1\r\nHost: gw\r\n\r\n"

    async with connected(webapp.port) as connection:
        await connection.send(first + second + first + second)
        statuses = [(await connection.answer()).status for _ in range(4)]

    assert statuses == [202, 200, 202, 200]
