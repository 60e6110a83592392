"""Passages as the tests need them."""

from __future__ import annotations

from typing import Any

from gw.demo.passages import Passage
from gw.demo.pictures import Picture

TIMINGS_MS = {
    "queued": 3.0,
    "decode": 8.4,
    "waited": 0.2,
    "device": 189.6,
    "reduce": 2.0,
    "postprocess": 4,
    "total": 211,
}


def make_result(*, regions: int = 1) -> dict[str, Any]:
    """Give a result with so many text regions, one below the other."""
    return {
        "text_regions": [
            {
                "label": "text",
                "score": 0.9,
                "quad": [
                    [4.0, 10.0 * n + 2],
                    [40.0, 10.0 * n + 2],
                    [40.0, 10.0 * n + 8],
                    [4.0, 10.0 * n + 8],
                ],
            }
            for n in range(regions)
        ],
        "timings_ms": TIMINGS_MS,
    }


def make_passage(**fields: Any) -> Passage:
    """Give a passage that went well, with *fields* instead of its own."""
    usual: dict[str, Any] = {
        "picture": Picture(name="page.png", data=b""),
        "job": {"state": "succeeded", "picture": {"width": 384, "height": 191}},
        "result": make_result(),
        "webhook_id": "msg_1",
        "attempts": 1,
        "is_verified": True,
    }
    return Passage(**usual | fields)
