"""What other protocols call a picture and a model, as the fields of a submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webapp.access import Caller
from webapp.refusals import BodyTooLarge, InvalidField
from webapp.uploads import Upload, decode_base64

_BASE64 = ";base64"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """A model as a caller named it; *version* is "" for the newest."""

    model: str
    version: str = ""

    def to_fields(self) -> dict[str, str]:
        """Give the fields of a submission."""
        return {"model": self.model} | ({"version": self.version} if self.version else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Where a picture is: its *data*, or the *url* that it is fetched from."""

    data: bytes = field(default=b"", repr=False)
    url: str = field(default="", repr=False)

    def to_upload(self, fields: Mapping[str, Any]) -> Upload:
        """Give the upload of this picture."""
        if self.url:
            return Upload(picture_url=self.url, fields=fields)
        return Upload(pictures=(self.data,), fields=fields)


def parse_model_ref(text: str, *, name: str) -> ModelRef:
    """Parse ``model``, ``model:version``, or either behind ``owner/``; raises InvalidField.

    *name* is the field that holds it. The owner says nothing: models have one name each.
    """
    _, _, rest = text.rpartition("/")
    model, colon, version = rest.partition(":")
    if not model or (colon and not version) or text.count("/") > 1:
        raise InvalidField(
            "A model is named as model, model:version, or owner/model:version, such as echo:2.",
            field=name,
        )
    return ModelRef(model=model, version=version)


def default_model(caller: Caller, *, name: str) -> ModelRef:
    """Give the model of the caller's key; raises InvalidField where it has none."""
    if not caller.default_model:
        raise InvalidField(
            f"Name a model in {name!r}, or call with a key that has one"
            " (gw keys create --default-model).",
            field=name,
        )
    return parse_model_ref(caller.default_model, name=name)


def take_picture(
    options: dict[str, Any], names: Sequence[str], *, prefix: str, max_bytes: int
) -> Picture:
    """Take the picture out of *options*: the one member among *names*, a URL or a data URL.

    Raises InvalidField, naming the member behind *prefix*, or BodyTooLarge.
    """
    given = [name for name in names if options.get(name) is not None]
    wanted = " or ".join(repr(f"{prefix}{name}") for name in names)
    if len(given) != 1:
        field_name = f"{prefix}{given[1] if given else names[0]}"
        raise InvalidField(f"Exactly one picture is needed, in {wanted}.", field=field_name)
    for name in names:
        if name != given[0]:
            options.pop(name, None)
    return parse_picture(options.pop(given[0]), name=f"{prefix}{given[0]}", max_bytes=max_bytes)


def parse_picture(text: object, *, name: str, max_bytes: int) -> Picture:
    """Parse a URL, or a data URL in base64 (RFC 2397); raises InvalidField or BodyTooLarge."""
    if not isinstance(text, str):
        raise InvalidField("The picture must be a URL or a data URL, as a string.", field=name)
    scheme, _, rest = text.partition(":")
    if scheme.lower() in ("http", "https"):
        return Picture(url=text)
    head, comma, encoded = rest.partition(",")
    if scheme.lower() != "data" or not comma or not head.lower().endswith(_BASE64):
        raise InvalidField(
            "The picture must be an http or https URL, or a data URL in base64 such as"
            " data:image/jpeg;base64,...",
            field=name,
        )
    return decoded(encoded, name=name, max_bytes=max_bytes)


def decoded(encoded: object, *, name: str, max_bytes: int) -> Picture:
    """Decode a picture's base64; raises InvalidField or BodyTooLarge."""
    try:
        data = decode_base64(encoded)
    except InvalidField as exc:
        raise InvalidField(str(exc), field=name) from exc
    if len(data) > max_bytes:
        raise BodyTooLarge(max_bytes)
    if not data:
        raise InvalidField("The picture is empty.", field=name)
    return Picture(data=data)
