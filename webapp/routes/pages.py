"""The documentation page: one file without assets, so that it works where there is no internet.

FastAPI's own page loads its script and style from a CDN.
"""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def content_security_policy(page: str) -> str:
    """Give the policy under which *page* works: its own inline parts by hash, and its own origin.

    Source: W3C Content Security Policy Level 3, hash-source.
    """
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, content in _INLINE.findall(page):
        digest = hashlib.sha256(content.encode("utf-8")).digest()
        hashes[kind].append(f"'sha256-{base64.b64encode(digest).decode()}'")
    return (
        "default-src 'none'; connect-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none';"
        f" script-src {' '.join(hashes['script'])}; style-src {' '.join(hashes['style'])}"
    )


def install(app: FastAPI) -> None:
    """Add the route of the page, which is read once."""
    page = resources.files("webapp").joinpath("pages", "docs.html").read_text("utf-8")
    headers = {
        "Content-Security-Policy": content_security_policy(page),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    async def docs(_request: Request) -> Response:
        return Response(page, media_type="text/html", headers=headers)

    app.get("/docs", include_in_schema=False)(docs)
