"""Reading the head of a submission."""

from __future__ import annotations

import pytest

from pipeline.errors import InvalidRequest
from webapp.head import parse_content_type, preferred_wait_s, read_head
from webapp.refusals import InvalidField


def test_fields_come_from_query_and_headers() -> None:
    """A field may stand in either place, and text in any script survives."""
    headers = [(b"gw-model", b"echo"), (b"gw-deadline-s", b"30")]

    head = read_head(headers, b"reference=%E8%AE%A2%E5%8D%95+1&priority=high")

    assert head.fields == {
        "model": "echo",
        "deadline_s": "30",
        "reference": "订单 1",
        "priority": "high",
    }


def test_known_headers_are_read() -> None:
    """What the request says of itself is parsed once."""
    headers = [
        (b"authorization", b"Bearer token"),
        (b"content-type", b"Multipart/Form-Data; boundary=abc"),
        (b"content-length", b"12"),
        (b"content-encoding", b"GZIP"),
        (b"prefer", b"respond-async"),
        (b"prefer", b"wait=7"),
    ]

    head = read_head(headers, b"")

    assert head.authorization == "Bearer token"
    assert (head.media_type, head.boundary) == ("multipart/form-data", "abc")
    assert (head.length_bytes, head.content_encoding, head.wait_s) == (12, "gzip", 7)


def test_a_chunked_body_claims_no_length() -> None:
    """Without a Content-Length nothing is claimed."""
    assert read_head([(b"transfer-encoding", b"chunked")], b"").length_bytes is None


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"gw-model", b"a")], b"model=b"),
        ([], b"model=a&model=b"),
        ([(b"gw-model", b"a"), (b"gw-model", b"b")], b""),
    ],
)
def test_a_field_given_twice_is_refused(headers: list[tuple[bytes, bytes]], query: bytes) -> None:
    """Which of the two would count is nothing a caller should have to guess."""
    with pytest.raises(InvalidField, match="twice") as caught:
        read_head(headers, query)

    assert caught.value.field == "model"


def test_a_header_that_is_not_utf8_is_refused() -> None:
    """Bytes of another encoding are named, not guessed at."""
    with pytest.raises(InvalidField) as caught:
        read_head([(b"gw-reference", b"\xff\xfe")], b"")

    assert caught.value.field == "reference"


@pytest.mark.parametrize("query", [b"model", b"a=%ff", b"\xe4=1", b"&".join([b"a=1"] * 33)])
def test_a_query_that_cannot_be_parsed_is_refused(query: bytes) -> None:
    """Pieces without a value, foreign bytes and floods of fields are the caller's mistake."""
    with pytest.raises(InvalidRequest):
        read_head([], query)


def test_a_secret_in_the_query_is_refused() -> None:
    """A URL ends up in logs and histories, so no secret may stand there."""
    with pytest.raises(InvalidField, match="Gw-Webhook"):
        read_head([], b"webhook=%7B%22secret%22%3A%22whsec_x%22%7D")


def test_an_endpoint_in_the_query_is_fine() -> None:
    """An endpoint's id is no secret."""
    head = read_head([], b"webhook=%7B%22endpoint%22%3A%22ep_1%22%7D")

    assert head.fields["webhook"] == '{"endpoint":"ep_1"}'


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=10", 10),
        ("Wait = 10", 10),
        ('wait="10"', 10),
        ("respond-async, wait=10", 10),
        ("wait=10; foo=bar", 10),
        ("wait=0", 0),
        ("wait=-1", None),
        ("wait=soon", None),
        ("wait", None),
        ("wait=1e3", None),
        ("await=10", None),
        ("", None),
    ],
)
def test_a_preference_for_waiting_is_read(prefer: str, seconds: int | None) -> None:
    """What RFC 7240 allows is understood, and what makes no sense is no preference."""
    assert preferred_wait_s(prefer) == seconds


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("", ("", "")),
        ("IMAGE/JPEG", ("image/jpeg", "")),
        ("application/json; charset=utf-8", ("application/json", "")),
        ('multipart/form-data; charset=x; boundary="a b\\"c"', ("multipart/form-data", 'a b"c')),
        ("multipart/form-data; Boundary=--x", ("multipart/form-data", "--x")),
    ],
)
def test_a_content_type_is_parsed(value: str, parsed: tuple[str, str]) -> None:
    """Case, parameters and quotes are as RFC 9110 has them."""
    assert parse_content_type(value) == parsed
