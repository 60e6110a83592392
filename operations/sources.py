"""What a batch's source gives: candidates for jobs, one by one, from any index on.

The same source gives the same candidates in the same order however often it is read, so that an
expansion which was killed goes on where it had counted to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.batches.archives import Archive, ArchiveLimits, EntryFault
from pipeline.errors import GwError


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One item of a source: its label, and its bytes or what is wrong with it."""

    name: str
    data: bytes = field(default=b"", repr=False)
    fault: GwError | None = None


class Source(Protocol):
    """An opened source. Iterating may raise SourceFault: then nothing follows."""

    def candidates(self, first: int) -> AsyncGenerator[Candidate, None]:
        """Give the candidates from index *first* on."""
        ...


class ArchiveSource:
    """The entries of a zip archive, in the order of its directory."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self._path = path
        self._limits = limits

    async def candidates(self, first: int) -> AsyncGenerator[Candidate, None]:
        """Give the entries from *first* on; raises SourceFault for an archive that is none."""
        archive = await asyncio.to_thread(Archive, self._path, self._limits)
        with archive:
            names = archive.names
            for index in range(first, len(archive)):
                try:
                    data = await asyncio.to_thread(archive.read, index)
                except EntryFault as fault:
                    yield Candidate(name=names[index], fault=fault)
                else:
                    yield Candidate(name=names[index], data=data)
