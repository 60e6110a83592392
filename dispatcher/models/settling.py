"""When files have been quiet for long enough to be taken. Pure decisions, no file is touched.

Operators copy by USB stick and scp, and a copy has no end mark of its own. So a version is taken
once nothing of it changed for a while: as seen from look to look, or, at the first look, by the
files' own times. A copy that stalls for longer is caught by what reads the file: an OM knows its
length, an ONNX does not parse, and ``SHA256SUMS`` makes it certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dispatcher.models.looking import Look, ModelLook, newest_ms

#: A part of a model: its card (None), or a version.
Part = tuple[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What is quiet: each version's look with its card's, *gone* what has been absent as long."""

    versions: Mapping[tuple[str, int], tuple[Look, Look]]
    #: Models whose card is quiet, though they have no version: refused by name.
    empty: Mapping[str, Look]
    gone: frozenset[tuple[str, int]]
    gone_models: frozenset[str]


class Settling:
    """Remembers what each part looked like, and since when."""

    def __init__(self, *, settle_ms: float) -> None:
        self._settle_ms = settle_ms
        self._seen: dict[Part, tuple[Look, float]] = {}
        self._is_first = True

    def observe(
        self, models: Mapping[str, ModelLook], *, now_ms: float, now_unix_ms: float
    ) -> Settled:
        """Take a look at all models (monotonic and Unix ms); give what has settled."""
        parts: dict[Part, Look] = {}
        for name, model in models.items():
            parts[name, None] = model.card
            parts.update({(name, version): files for version, files in model.versions.items()})
        for part in self._seen.keys() - parts.keys():
            parts[part] = ()
        quiet = {
            part: files
            for part, files in parts.items()
            if self._is_quiet(part, files, now_ms, now_unix_ms)
        }
        self._is_first = False
        gone = {part for part, files in quiet.items() if not _is_there(part, models)}
        for part in gone:
            del self._seen[part]
        versions = {
            (name, version): (quiet[name, None], files)
            for (name, version), files in quiet.items()
            if version is not None and (name, None) in quiet and (name, version) not in gone
        }
        return Settled(
            versions=versions,
            empty={
                name: quiet[name, None]
                for name, model in models.items()
                if not model.versions and (name, None) in quiet
            },
            gone=frozenset((name, version) for name, version in gone if version is not None),
            gone_models=frozenset(name for name, version in gone if version is None),
        )

    def _is_quiet(self, part: Part, files: Look, now_ms: float, now_unix_ms: float) -> bool:
        before, since_ms = self._seen.get(part, (None, now_ms))
        if before != files:
            since_ms = now_ms
            if self._is_first and 0 <= newest_ms(files) <= now_unix_ms - self._settle_ms:
                # Quiet long before anybody looked.
                since_ms = now_ms - self._settle_ms
        self._seen[part] = (files, since_ms)
        return now_ms - since_ms >= self._settle_ms


def _is_there(part: Part, models: Mapping[str, ModelLook]) -> bool:
    name, version = part
    return name in models and (version is None or version in models[name].versions)
