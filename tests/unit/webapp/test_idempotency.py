"""What makes a request the same."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.jobs.promises import Once, Promise
from webapp.idempotency import InFlight, batch_fingerprint, fingerprint_of, parse_key
from webapp.refusals import InvalidField, KeyReused, RequestInFlight
from webapp.uploads import Upload


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("8e03978e", "8e03978e"),
        (' "a" ', "a"),
        ('"a b"', "a b"),
        (r'"a\"b\\c"', 'a"b\\c'),
        ("order/17:2026_1.x~y", "order/17:2026_1.x~y"),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_a_key_is_read(text: str, key: str) -> None:
    """A structured string, or what many clients send instead."""
    assert parse_key(text) == key


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=255))
def test_every_printable_key_can_be_sent(key: str) -> None:
    """Quoted, with quotes and backslashes escaped."""
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')

    assert parse_key(f'"{quoted}"') == key


@given(st.text())
def test_any_other_text_is_refused_and_nothing_else_happens(text: str) -> None:
    """Whatever comes, it is a key or an InvalidField."""
    with suppress(InvalidField):
        key = parse_key(text)

        assert 1 <= len(key) <= 255
        assert key.isprintable()
        assert key.isascii()


def upload(**changes: Any) -> Upload:
    """Make an upload."""
    defaults: dict[str, Any] = {"pictures": (b"a", b"b"), "fields": {"model": "m", "n": {"x": 1}}}
    return Upload(**(defaults | changes))


def test_a_batchs_fingerprint_is_of_kind_fields_and_source() -> None:
    """The order of the fields is nobody's business; everything else makes another request."""
    same = [
        batch_fingerprint("archive", fields, "aa")
        for fields in ({"model": "m", "reference": "r"}, {"reference": "r", "model": "m"})
    ]
    others = [
        batch_fingerprint("video", {"model": "m", "reference": "r"}, "aa"),
        batch_fingerprint("archive", {"model": "m", "reference": "s"}, "aa"),
        batch_fingerprint("archive", {"model": "m", "reference": "r"}, "ab"),
        batch_fingerprint("archive", {"model": "m", "reference": "r"}),
    ]

    assert len({*same}) == 1
    assert len({*same, *others}) == 5


async def test_a_fingerprint_is_of_what_is_asked_for() -> None:
    """The order of the fields does not count; everything else does, a picture's place too."""
    same = await fingerprint_of(upload(fields={"n": {"x": 1}, "model": "m"}))
    others = [
        upload(pictures=(b"b", b"a")),
        upload(pictures=(b"ab",)),
        upload(pictures=(b"a",)),
        upload(fields={"model": "m"}),
        upload(fields={"model": "m", "n": {"x": "1"}}),
        upload(pictures=(), picture_url="https://example.com/a"),
        upload(fields={"model": "m\ud800"}),
        upload(pictures=(b"a" * 300_000, b"b")),
    ]

    prints = [await fingerprint_of(each) for each in others]

    assert same == await fingerprint_of(upload())
    assert len({same, *prints}) == len(others) + 1


def test_a_key_is_held_by_one_request_at_a_time() -> None:
    """Until it is through; another tenant's key of the same name is another key."""
    in_flight = InFlight()
    once = Once.of("k", fingerprint="f", keep_ms=1)
    with in_flight.hold("acme", once):
        with pytest.raises(RequestInFlight), in_flight.hold("acme", once):
            pass
        other = Once.of("k", fingerprint="g", keep_ms=1)
        with pytest.raises(KeyReused), in_flight.hold("acme", other):
            pass
        with in_flight.hold("other", other):
            pass

    with in_flight.hold("acme", other):
        pass


def test_a_promise_survives_its_wire_form() -> None:
    """With one job and with several."""
    for job_ids in (("job_1",), ("job_1", "job_2")):
        promise = Promise(fingerprint="f" * 64, job_ids=job_ids)

        assert Promise.from_text(promise.to_text()) == promise
