"""Captured requests: split as they came, and judged by their signature."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from egress.asymmetric_key import PrivateKey
from gw.commands.webhooks import command
from gw.webhook_capture import parse_captured
from notifier.signing import sign
from pipeline.deliveries.signing_secret import SigningSecret
from pipeline.errors import InvalidRequest

BODY = b'{"type":"job.succeeded"}\n'
SECRET, KEY = SigningSecret.generate(), PrivateKey.generate()


def captured(end: str = "\r\n", *, body: bytes = BODY, request_line: bool = True) -> bytes:
    """Give a signed request as a receiver might have written it down."""
    headers = sign([SECRET, KEY], message_id="msg_1", timestamp_unix_s=1_700_000_000, body=BODY)
    lines = ["POST /hook HTTP/1.1"] if request_line else []
    lines += ["Host: example.com", *(f"{name.title()}: {value}" for name, value in headers)]
    return end.join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("end", ["\r\n", "\n"])
@pytest.mark.parametrize("request_line", [True, False])
def test_a_request_is_split_as_it_came(end: str, request_line: bool) -> None:
    """Header names lose their case, the body keeps every byte."""
    headers, body = parse_captured(captured(end, request_line=request_line))

    assert body == BODY
    assert headers["webhook-id"] == "msg_1"
    assert headers["host"] == "example.com"


def test_a_content_length_says_where_the_body_ends() -> None:
    """A line end that an editor has added is not part of it."""
    text = captured().replace(b"Host:", b"Content-Length: %d\r\nHost:" % len(BODY), 1)

    assert parse_captured(text + b"\n")[1] == BODY


def test_what_is_no_request_is_refused() -> None:
    """Without an empty line there is no body."""
    with pytest.raises(InvalidRequest):
        parse_captured(b"webhook-id: msg_1")


@pytest.mark.parametrize(
    ("key", "body", "arguments", "is_good"),
    [
        (SECRET.to_text(), BODY, [], True),
        (KEY.public.to_text(), BODY, [], True),
        (f"{SigningSecret.generate().to_text()}\n{SECRET.to_text()}\n", BODY, [], True),
        (SigningSecret.generate().to_text(), BODY, [], False),
        (SECRET.to_text(), BODY + b" ", [], False),
        (SECRET.to_text(), BODY, ["--at", "1700000200"], True),
        (SECRET.to_text(), BODY, ["--at", "1700000400"], False),
    ],
    ids=["secret", "public key", "one of two", "another", "other body", "in time", "too late"],
)
def test_a_captured_request_is_judged(
    tmp_path: Path, key: str, body: bytes, arguments: list[str], is_good: bool
) -> None:
    """``gw webhooks verify`` succeeds for what one of the keys has signed, in time if asked."""
    path = tmp_path / "keys"
    path.write_text(key)

    result = CliRunner().invoke(
        command, ["verify", "--key-file", str(path), *arguments], input=captured(body=body)
    )

    assert (result.exit_code == 0) is is_good
    assert ("the signature is good: msg_1" in result.output) is is_good
    assert key.strip() not in result.output
