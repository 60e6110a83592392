"""Health: alive and ready."""

from __future__ import annotations

from typing import Any

from webapp import schemas
from webapp.documentation.shapes import answer

HEALTHZ: dict[str, Any] = {
    "tags": ["health"],
    "operation_id": "healthz",
    "summary": "Is the process alive",
    "responses": {200: answer("It is.", schemas.AliveDocument)},
}

READYZ: dict[str, Any] = {
    "tags": ["health"],
    "operation_id": "readyz",
    "summary": "Would work be done",
    "responses": {
        200: answer("It would.", schemas.ReadyDocument),
        503: answer("It would not; `reasons` says why.", schemas.ReadyDocument),
    },
}
