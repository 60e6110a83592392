"""A list of URLs as a source: fetched several at once, given in their order."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from egress.client import EgressClient
from egress.fetch import fetch
from operations.sources import Candidate
from pipeline.batches.archives import label
from pipeline.batches.batch import SourceFault
from pipeline.errors import InvalidRequest, TargetNotAllowed

_AT_ONCE: Final = 8


class UrlSource:
    """The pictures at the URLs of a stored list."""

    def __init__(
        self, path: Path, client: EgressClient, *, max_bytes: int, deadline_s: float
    ) -> None:
        self._path = path
        self._client = client
        self._max_bytes = max_bytes
        self._deadline_s = deadline_s

    async def candidates(self, first: int) -> AsyncGenerator[Candidate, None]:
        """Give the pictures from *first* on; raises SourceFault for a list that cannot be read."""
        waiting = deque(await asyncio.to_thread(read_urls, self._path))
        for _ in range(min(first, len(waiting))):
            waiting.popleft()
        fetching: deque[asyncio.Task[Candidate]] = deque()
        try:
            while waiting or fetching:
                while waiting and len(fetching) < _AT_ONCE:
                    fetching.append(asyncio.create_task(self._fetch(waiting.popleft())))
                yield await fetching.popleft()
        finally:
            for task in fetching:
                task.cancel()
            await asyncio.gather(*fetching, return_exceptions=True)

    async def _fetch(self, url: str) -> Candidate:
        name = url_label(url)
        try:
            data = await fetch(
                self._client, url, max_bytes=self._max_bytes, deadline_s=self._deadline_s
            )
        except (InvalidRequest, TargetNotAllowed) as exc:
            return Candidate(name=name, fault=exc)
        return Candidate(name=name, data=data)


def read_urls(path: Path) -> list[str]:
    """Read a stored list; raises SourceFault."""
    try:
        urls = json.loads(path.read_bytes())
    except (OSError, ValueError) as exc:
        raise SourceFault("the list of URLs cannot be read") from exc
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise SourceFault("the list of URLs cannot be read")
    return urls


def url_label(url: str) -> str:
    """Give a URL without what may be secret in it: user-info, query and fragment."""
    try:
        parts = urlsplit(url)
        shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
        return label(shown.geturl())
    except ValueError:
        return "a malformed URL"
