"""A multipart/form-data body, parsed as it arrives: pictures, and fields as text (RFC 7578)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from pipeline.errors import InvalidRequest
from webapp.refusals import BodyTooLarge, InvalidField

PICTURE_FIELD = "picture"

#: Fields are short: the longest is metadata.
FIELD_MAX_BYTES = 32 * 1024
_FIELDS_MAX = 32
_BOUNDARY_MAX_CHARACTERS = 70
_DISPOSITION_PARAMETER = re.compile(
    r";\s*(name|filename\*?)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;\"]+))", re.IGNORECASE
)


@dataclass(slots=True, kw_only=True)
class _Part:
    disposition: str = ""
    name: str = ""
    is_picture: bool = False
    size_bytes: int = 0
    chunks: list[memoryview] = field(default_factory=list)


class FormParser:
    """Collects the parts of one form. Feed it, then ``finish`` it; both raise InvalidRequest.

    A part is a picture when it has a file name or is called ``picture``. A picture past
    *pictures_max*, or one larger than *picture_max_bytes* (BodyTooLarge), is refused as soon as
    that is known.
    """

    def __init__(self, boundary: str, *, pictures_max: int, picture_max_bytes: int) -> None:
        if not 1 <= len(boundary) <= _BOUNDARY_MAX_CHARACTERS or not boundary.isascii():
            raise InvalidRequest("The multipart body has no usable boundary.")
        self.pictures: list[bytes] = []
        self.fields: dict[str, str] = {}
        self._pictures_max = pictures_max
        self._picture_max_bytes = picture_max_bytes
        self._part = _Part()
        self._header = (b"", b"")
        self._is_over = False
        self._parser = MultipartParser(
            boundary.encode("ascii"),
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._data,
                "on_part_end": self._end,
                "on_end": self._over,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Parse the next piece of the body."""
        try:
            self._parser.write(chunk)
        except FormParserError as exc:
            raise InvalidRequest("The multipart body is malformed.") from exc

    def finish(self) -> None:
        """Check that the form has come to its end."""
        if not self._is_over:
            raise InvalidRequest("The multipart body ends before its last boundary.")

    def _begin(self) -> None:
        self._part = _Part()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name + data[start:end], value)

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        name, value = self._header
        self._header = (name, value + data[start:end])

    def _header_end(self) -> None:
        name, value = self._header
        self._header = (b"", b"")
        match name.lower():
            case b"content-disposition":
                self._part.disposition = value.decode("utf-8", "replace")
            case b"content-transfer-encoding" if value.lower() not in (b"binary", b"8bit", b"7bit"):
                raise InvalidRequest("A part of the form is encoded; send it as it is.")

    def _headers_finished(self) -> None:
        kind, _, _ = self._part.disposition.partition(";")
        names = {
            name.lower(): plain or re.sub(r"\\(.)", r"\1", quoted)
            for name, quoted, plain in _DISPOSITION_PARAMETER.findall(self._part.disposition)
        }
        if kind.strip().lower() != "form-data" or "name" not in names:
            raise InvalidRequest("A part of the form has no name.")
        self._part.name = names["name"]
        has_file_name = "filename" in names or "filename*" in names
        self._part.is_picture = has_file_name or names["name"] == PICTURE_FIELD
        if self._part.is_picture:
            if len(self.pictures) >= self._pictures_max:
                raise InvalidRequest(
                    f"A request may carry {self._pictures_max} pictures at most.",
                    field=PICTURE_FIELD,
                )
        elif len(self.fields) >= _FIELDS_MAX:
            raise InvalidRequest("The form has too many fields.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        part.size_bytes += end - start
        if part.is_picture:
            if part.size_bytes > self._picture_max_bytes:
                raise BodyTooLarge(self._picture_max_bytes)
        elif part.size_bytes > FIELD_MAX_BYTES:
            raise InvalidField(
                f"The field is larger than {FIELD_MAX_BYTES} bytes.", field=part.name
            )
        # A view: each copy of a picture costs as much as parsing the whole form.
        part.chunks.append(memoryview(data)[start:end])

    def _end(self) -> None:
        part = self._part
        content = b"".join(part.chunks)
        if part.is_picture:
            self.pictures.append(content)
            return
        if part.name in self.fields:
            raise InvalidField("The field is given twice.", field=part.name)
        try:
            self.fields[part.name] = content.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise InvalidField("The field's value is not UTF-8.", field=part.name) from exc

    def _over(self) -> None:
        self._is_over = True
