"""What a thin body keeps of an event."""

from __future__ import annotations

from typing import Any

from pipeline.events.event import Event

#: Members of an event's data that a thin body keeps.
_THIN = ("id", "state", "model", "version", "reference", "sequence", "terminal")


def thin_data(event: Event, *, base_url: str) -> dict[str, Any]:
    """Give what a thin body tells of *event*: what it is about, and where the rest is.

    *base_url* is where callers reach the API, "" for links that are paths.
    """
    if not event.subject.startswith("job_"):
        return dict(event.data)
    path = f"{base_url.rstrip('/')}/v1/jobs/{event.subject}"
    thin = {name: event.data[name] for name in _THIN if name in event.data}
    return thin | {"links": {"self": path, "result": f"{path}/result"}}
