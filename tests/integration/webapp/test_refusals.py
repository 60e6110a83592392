"""Bad submissions: each has its answer, and none leaves a job or a picture."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from pipeline.access.keys import KeyStore
from pipeline.protocol import Keyspace
from tests.fakes.webhook_receiver import WebhookReceiver, answering
from tests.integration.webapp.conftest import Look
from tests.integration.webapp.running import PICTURE, Webapp, add_key, running
from tests.unit.webapp.pictures import jpeg, png
from tests.waiting import wait_until
from webapp import schemas

GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;" + bytes(20)
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'
TEXT = b"This is no picture at all, whatever its name says.\n"
JPEG = {"content-type": "image/jpeg"}


def check(answer: httpx.Response, status: int, code: str, field: str | None = None) -> Any:
    """Check that an answer is the problem it should be; give its document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = schemas.ProblemDocument.model_validate(answer.json())
    assert (answer.status_code, problem.status) == (status, status), answer.text
    assert (problem.code, problem.type) == (code, f"/problems/{code}")
    assert problem.field == field, answer.text
    assert problem.detail.endswith((".", "!"))
    return answer.json()


@pytest.mark.parametrize(
    ("picture", "part_of_detail"),
    [
        (b"", "empty"),
        (b"\xff\xd8\xff", "header"),
        (b"abc", "3 bytes"),
        (jpeg()[:-300], "cut off"),
        (jpeg()[:12], "header"),
        (png(1, 1)[:-12], "cut off"),
        (png(20_000, 20_000), "20000 x 20000"),
        (png(0, 5), "no pixels"),
        (GIF, "GIF"),
        (SVG, "SVG"),
        (TEXT, "Text"),
        (base64.b64encode(PICTURE), "Base64"),
        (bytes(1000), "unknown format"),
    ],
    ids=[
        *("empty", "three-bytes-of-jpeg", "three-bytes", "truncated-jpeg", "jpeg-header-only"),
        *("truncated-png", "huge-png-header", "png-without-pixels", "gif", "svg", "text"),
        *("base64-as-it-is", "zeros"),
    ],
)
@pytest.mark.parametrize("kind", ["raw", "form", "json"])
async def test_what_is_no_picture_is_refused(
    webapp: Webapp, look: Look, kind: str, picture: bytes, part_of_detail: str
) -> None:
    """The answer says what is wrong with it, whichever way it came."""
    before = await look()

    match kind:
        case "raw":
            answer = await webapp.post(picture)
        case "form":
            answer = await webapp.http.post(
                "/v1/jobs", files={"picture": ("photo.jpg", picture)}, data={"model": "echo"}
            )
        case _:
            body = {"model": "echo", "picture": base64.b64encode(picture).decode()}
            answer = await webapp.http.post("/v1/jobs", json=body)

    problem = check(answer, 422, "invalid_picture", "picture")
    assert part_of_detail in problem["detail"] or len(picture) < 4
    assert await look() == before


async def test_a_bad_picture_spoils_the_whole_request(webapp: Webapp, look: Look) -> None:
    """Nothing of the good ones beside it is kept, and the bad one is named."""
    before = await look()
    files = [("picture", ("a", PICTURE)), ("picture", ("b", GIF)), ("picture", ("c", PICTURE))]

    answer = await webapp.http.post("/v1/jobs", files=files, data={"model": "echo"})

    check(answer, 422, "invalid_picture", "picture[1]")
    assert await look() == before


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"model": "nobody"}, 404, "unknown_model", "model"),
        ({"version": "99"}, 404, "unknown_version", "version"),
        ({"model": "broken"}, 503, "model_not_ready", "model"),
        ({"priority": "urgent"}, 400, "invalid_request", "priority"),
        ({"deadline": "2020-01-01T00:00:00Z"}, 400, "invalid_request", "deadline"),
        ({"deadline": "2020-01-01T00:00:00"}, 400, "invalid_request", "deadline"),
        ({"deadline_s": "-1"}, 400, "invalid_request", "deadline_s"),
        ({"reference": "x" * 201}, 400, "invalid_request", "reference"),
        ({"metadata": "{"}, 400, "invalid_request", "metadata"),
        ({"metadata": "[]"}, 400, "invalid_request", "metadata"),
        ({"colour": "red"}, 400, "invalid_request", "colour"),
        ({"webhook": '{"endpoint": "ep_none"}'}, 404, "unknown_endpoint", "webhook.endpoint"),
        ({"webhook": '{"url": "https://example.com"}'}, 400, "invalid_request", "webhook.secret"),
    ],
)
async def test_a_bad_field_is_refused(
    webapp: Webapp, look: Look, fields: dict[str, Any], status: int, code: str, field: str
) -> None:
    """Its name is in the answer."""
    before = await look()

    answer = await webapp.post(**fields)

    check(answer, status, code, field)
    assert await look() == before


async def test_what_would_have_been_right_is_listed(webapp: Webapp) -> None:
    """For models, versions, priorities and field names."""
    allowed = [
        (await webapp.http.post("/v1/jobs", params=params, content=PICTURE, headers=JPEG)).json()[
            "allowed"
        ]
        for params in (
            {"model": "x"},
            {"model": "echo", "version": "x"},
            {"model": "echo", "priority": "x"},
            {"modle": "echo"},
        )
    ]

    assert allowed[:3] == [["broken", "echo"], ["2", "1"], ["high", "normal", "low"]]
    assert "model" in allowed[3]


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b"", 400, "invalid_request", None),
        (b"{", 400, "invalid_request", None),
        (b"[1]", 400, "invalid_request", None),
        (b"[" * 100_000, 400, "invalid_request", None),
        (b'{"model":"echo"}', 400, "invalid_request", "picture"),
        (b'{"model":"echo","picture":"%%%"}', 400, "invalid_request", "picture"),
        (b'{"model":"echo","picture":"eA","x":1}', 400, "invalid_request", "picture"),
        (b'{"model":"echo","picture":"eA==","x":1}', 400, "invalid_request", "x"),
        (b'{"picture":"eA=="}', 400, "invalid_request", "model"),
        (
            b'{"model":"echo","picture":"eA==","reference":"\\ud800"}',
            400,
            "invalid_request",
            "reference",
        ),
        (
            b'{"model":"echo","picture":"eA==","metadata":{"a":1e999}}',
            400,
            "invalid_request",
            "metadata",
        ),
        (
            b'{"model":"echo","picture":"eA==","webhook":{"url":"http://127.0.0.1/",'
            b'"secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}',
            422,
            "target_not_allowed",
            "webhook.url",
        ),
    ],
)
async def test_bad_json_is_refused(
    webapp: Webapp, look: Look, body: bytes, status: int, code: str, field: str | None
) -> None:
    """Malformed, incomplete or beyond what can be stored."""
    before = await look()

    answer = await webapp.http.post(
        "/v1/jobs", content=body, headers={"content-type": "application/json"}
    )

    check(answer, status, code, field)
    assert await look() == before


@pytest.mark.parametrize(
    ("url", "status", "code"),
    [
        ("http://127.0.0.1/a.jpg", 422, "target_not_allowed"),
        ("http://localhost/a.jpg", 422, "target_not_allowed"),
        ("http://[::1]/a.jpg", 422, "target_not_allowed"),
        ("http://[::ffff:169.254.169.254]/a.jpg", 422, "target_not_allowed"),
        ("http://192.168.0.1/a.jpg", 422, "target_not_allowed"),
        ("file:///etc/passwd", 422, "target_not_allowed"),
        ("http://user@127.0.0.1/", 422, "target_not_allowed"),
        ("http://127.1/", 400, "invalid_request"),
        ("not a url", 400, "invalid_request"),
        ("http://a/\ud800", 400, "invalid_request"),
    ],
)
async def test_a_forbidden_picture_url_is_refused(
    webapp: Webapp, look: Look, url: str, status: int, code: str
) -> None:
    """Nothing inside the box or its network is fetched for a caller."""
    before = await look()

    answer = await webapp.http.post(
        "/v1/jobs",
        content=json.dumps({"model": "echo", "picture_url": url}),
        headers={"content-type": "application/json"},
    )

    check(answer, status, code, "picture_url")
    assert await look() == before


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("hang", "fetch_timed_out"),
        ("drip", "fetch_timed_out"),
        ("endless", "fetch_too_large"),
        ("301", "fetch_redirected"),
        ("500", "fetch_refused"),
        ("garbage", "fetch_unreachable"),
        ("gzip-bomb", "fetch_encoded"),
    ],
)
async def test_a_picture_that_cannot_be_fetched_is_refused(
    environ: dict[str, str], token: str, look: Look, behaviour: str, code: str
) -> None:
    """In bounded time and memory, however the other server behaves."""
    async with WebhookReceiver() as server:
        environ |= {
            "GW_EGRESS_ALLOW": f"127.0.0.1/32:{server.port}",
            "GW_URL_FETCH_TIMEOUT_S": "0.5",
            "GW_PICTURE_MAX_BYTES": "1000000",
        }
        async with running(environ, token=token) as webapp:
            before = await look()
            answer = await webapp.http.post(
                "/v1/jobs", json={"model": "echo", "picture_url": server.url(behaviour)}
            )

    check(answer, 422, code, "picture_url")
    assert await look() == before


async def test_a_fetched_file_must_be_a_picture(
    environ: dict[str, str], token: str, look: Look
) -> None:
    """What comes from a URL is checked like everything else."""
    async with WebhookReceiver() as server:
        server.behaviours["page"] = answering(200, body=b"<!doctype html><title>Sign in</title>")
        environ["GW_EGRESS_ALLOW"] = f"127.0.0.1/32:{server.port}"
        async with running(environ, token=token) as webapp:
            before = await look()
            answer = await webapp.http.post(
                "/v1/jobs", json={"model": "echo", "picture_url": server.url("page")}
            )

    check(answer, 422, "invalid_picture", "picture")
    assert await look() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "image/gif"},
        {"content-type": "image/svg+xml"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/xml"},
        {"content-type": ""},
        {"content-type": "image/jpeg", "content-encoding": "gzip"},
    ],
)
async def test_another_content_type_is_refused(
    webapp: Webapp, look: Look, headers: dict[str, str]
) -> None:
    """The answer says what is taken."""
    before = await look()

    answer = await webapp.post(headers=headers)

    check(answer, 415, "unsupported_media_type")
    assert await look() == before


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=b", b""),
        ("multipart/form-data; boundary=b", b"no form at all"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="picture"\r\n\r\nno end',
        ),
    ],
)
async def test_a_malformed_form_is_refused(
    webapp: Webapp, look: Look, content_type: str, body: bytes
) -> None:
    """As a request that cannot be parsed."""
    before = await look()

    answer = await webapp.http.post(
        "/v1/jobs?model=echo", content=body, headers={"content-type": content_type}
    )

    check(answer, 400, "invalid_request")
    assert await look() == before


async def test_too_many_pictures_are_refused(
    environ: dict[str, str], token: str, look: Look
) -> None:
    """One request has one bound on its pictures."""
    environ["GW_JOBS_PER_REQUEST_MAX"] = "2"
    async with running(environ, token=token) as webapp:
        before = await look()
        files = [("picture", ("x", PICTURE))] * 3
        answer = await webapp.http.post("/v1/jobs", files=files, data={"model": "echo"})

    check(answer, 400, "invalid_request", "picture")
    assert await look() == before


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer nonsense",
        "Basic Z3c6Z3c=",
        "Bearer gw_00000000_" + "A" * 43,
        "Bearer gw_00000000_" + "é" * 43,
    ],
)
async def test_without_a_valid_key_nothing_is_told(
    webapp: Webapp, look: Look, authorization: str
) -> None:
    """Every route but health asks for one, and says so."""
    before = await look()
    headers = {b"authorization": authorization.encode()} if authorization else {}

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{webapp.port}") as stranger:
        answers = [
            await stranger.post(
                "/v1/jobs?model=echo",
                content=PICTURE,
                headers=headers | {b"content-type": b"image/jpeg"},
            ),
            await stranger.get("/v1/jobs/job_01jd3k4m5n6p7q8r9s0t1v2w3x", headers=headers),
            await stranger.get("/v1/models", headers=headers),
            await stranger.get("/v1/models/echo", headers=headers),
        ]

    for answer in answers:
        check(answer, 401, "access_denied")
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await look() == before


async def test_a_key_with_another_secret_is_wrong(webapp: Webapp, look: Look) -> None:
    """Knowing a key's id is not enough, and an empty body is not looked at before."""
    before = await look()
    forged = webapp.token[:12] + "A" * 43

    answer = await webapp.post(b"", headers={"authorization": f"Bearer {forged}"})

    check(answer, 401, "access_denied")
    assert await look() == before


async def test_a_revoked_key_stops_working(webapp: Webapp, redis: Redis, keys: Keyspace) -> None:
    """No later than the cache of keys forgets it."""
    token = await add_key(redis, keys, tenant="acme")
    headers = {"authorization": f"Bearer {token}"}
    assert (await webapp.http.get("/v1/models", headers=headers)).status_code == 200

    await KeyStore(redis, keys).remove(token.split("_")[1])

    async def is_refused() -> bool:
        answer = await webapp.http.get("/v1/models", headers=headers)
        return answer.status_code == 401

    await wait_until(is_refused, timeout_s=5)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("POST", "/v1/jobs/", 404, "not_found"),
        ("PUT", "/v1/jobs", 405, "method_not_allowed"),
        ("PUT", "/v1/jobs/job_x", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
    ],
)
async def test_other_routes_are_problems_too(
    webapp: Webapp, method: str, path: str, status: int, code: str
) -> None:
    """Every error of the API has one shape."""
    answer = await webapp.http.request(method, path)

    check(answer, status, code)
    assert (status == 405) == ("allow" in answer.headers)
