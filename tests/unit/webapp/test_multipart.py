"""Parsing multipart forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import CallerError, InvalidRequest
from webapp.multipart import FIELD_MAX_BYTES, FormParser
from webapp.refusals import BodyTooLarge, InvalidField


def part(disposition: str, content: bytes, *headers: str) -> bytes:
    """Write one part, with its delimiter before it."""
    lines = [f"Content-Disposition: {disposition}", *headers]
    return b"--b\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"


def parse(
    *parts: bytes, end: bytes = b"--b--\r\n", step: int = 0, pictures_max: int = 4
) -> FormParser:
    """Parse a form, *step* bytes at a time."""
    form = FormParser("b", pictures_max=pictures_max, picture_max_bytes=1000)
    body = b"".join(parts) + end
    for start in range(0, len(body), step or len(body)):
        form.feed(body[start : start + (step or len(body))])
    form.finish()
    return form


PICTURE = part('form-data; name="picture"; filename="a.jpg"', b"\r\n--pixels\r\n-b")
MODEL = part('form-data; name="model"', "模型".encode())


@pytest.mark.parametrize("step", [0, 1, 2, 7, 64])
def test_pictures_and_fields_are_told_apart(step: int) -> None:
    """However the body is cut into pieces, the parts come out whole."""
    form = parse(PICTURE, MODEL, step=step)

    assert form.pictures == [b"\r\n--pixels\r\n-b"]
    assert form.fields == {"model": "模型"}


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="picture"',
        "form-data; name=picture",
        'form-data; name="whatever"; filename="x"',
        "form-data; name=\"f\"; filename*=UTF-8''x.jpg",
        'Form-Data; filename="a;name=b.jpg"; NAME="p"',
        'form-data; name="p"; filename="a\\"b.jpg"',
    ],
)
def test_a_picture_is_what_has_a_file_name_or_is_called_so(disposition: str) -> None:
    """Clients spell forms in many ways."""
    assert parse(part(disposition, b"x")).pictures == [b"x"]


def test_several_pictures_keep_their_order() -> None:
    """One job follows from each, in the order of the form."""
    file = 'form-data; name="picture"; filename="x"'

    form = parse(part(file, b"1"), MODEL, part(file, b"2"), part(file, b""))

    assert form.pictures == [b"1", b"2", b""]


@pytest.mark.parametrize(
    ("parts", "end"),
    [
        ([b"no boundary at all"], b""),
        ([PICTURE], b""),
        ([PICTURE], b"--b"),
        ([part("form-data", b"x")], b"--b--\r\n"),
        ([part('attachment; name="a"', b"x")], b"--b--\r\n"),
        ([b"--b\r\nno header\r\n\r\nx\r\n"], b"--b--\r\n"),
        ([b"--b\r\n\r\nx\r\n"], b"--b--\r\n"),
        (
            [part('form-data; name="picture"', b"eA==", "Content-Transfer-Encoding: base64")],
            b"--b--",
        ),
        ([part(f'form-data; name="f{n}"', b"") for n in range(40)], b"--b--"),
    ],
)
def test_a_malformed_form_is_refused(parts: list[bytes], end: bytes) -> None:
    """Nothing is guessed, and nothing breaks."""
    with pytest.raises(InvalidRequest):
        parse(*parts, end=end)


@pytest.mark.parametrize("boundary", ["", "x" * 71, "ä"])
def test_an_unusable_boundary_is_refused(boundary: str) -> None:
    """RFC 2046 has 1 to 70 characters."""
    with pytest.raises(InvalidRequest, match="boundary"):
        FormParser(boundary, pictures_max=1, picture_max_bytes=1)


def test_a_field_given_twice_is_refused() -> None:
    """Neither of the two is preferred."""
    with pytest.raises(InvalidField, match="twice"):
        parse(MODEL, MODEL)


def test_a_field_that_is_not_utf8_is_refused() -> None:
    """Bytes of another encoding are named."""
    with pytest.raises(InvalidField) as caught:
        parse(part('form-data; name="reference"', b"\xff"))

    assert caught.value.field == "reference"


def test_a_field_may_not_hide_a_picture() -> None:
    """Only pictures may be large."""
    with pytest.raises(InvalidField):
        parse(part('form-data; name="reference"', b"x" * (FIELD_MAX_BYTES + 1)))


def test_a_large_picture_is_refused_before_it_ends() -> None:
    """The first piece past the limit is enough."""
    form = FormParser("b", pictures_max=1, picture_max_bytes=10)

    with pytest.raises(BodyTooLarge):
        form.feed(b'--b\r\nContent-Disposition: form-data; name="picture"\r\n\r\n' + b"x" * 60)


def test_too_many_pictures_are_refused() -> None:
    """The limit is the request's, however small each is."""
    with pytest.raises(InvalidRequest, match="2 pictures at most"):
        parse(PICTURE, PICTURE, PICTURE, pictures_max=2)


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    """No input has another outcome than a form or a caller's error."""
    form = FormParser("b", pictures_max=4, picture_max_bytes=100)
    try:
        form.feed(b"--b\r\n" + body)
        form.finish()
    except CallerError:
        pass
