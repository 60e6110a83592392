"""How errors are said where a path speaks a protocol of its own instead of RFC 9457."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from starlette.responses import Response

#: Makes a JSON body of an error's sentence.
Form = Callable[[str], bytes]


def form_of(path: str) -> Form | None:
    """Give the form of errors at *path*, None for problem documents."""
    for prefix, form in _FORMS.items():
        if path == prefix or path.startswith(f"{prefix}/"):
            return form
    return None


def open_inference_error(sentence: str, status: int) -> Response:
    """Give an error of the Open Inference Protocol that no error class stands for."""
    return Response(_open_inference(sentence), status_code=status, media_type="application/json")


def _open_inference(sentence: str) -> bytes:
    return json.dumps({"error": sentence}, ensure_ascii=False).encode()


def _fal(sentence: str) -> bytes:
    return json.dumps({"detail": sentence}, ensure_ascii=False).encode()


_FORMS: Mapping[str, Form] = {"/v2": _open_inference, "/fal": _fal, "/fal-run": _fal}
