"""What an archive says of itself, and which members it may have.

An archive is a tar: ``store.rdb``, the files of the data folder, the models, then the manifest and
the digest of the manifest. What is cut off therefore lacks its manifest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pipeline.batches.batch import BATCHES_FOLDER
from pipeline.documents import from_document
from pipeline.errors import InvalidRequest
from pipeline.jobs.job import JobState
from pipeline.jobs.kept import KEPT_FOLDER
from pipeline.pictures.blobs import PICTURES_FOLDER

FORMAT: Final = 1

STORE: Final = "store.rdb"
API_KEY: Final = "api-key"
MANIFEST: Final = "manifest.json"
MANIFEST_DIGEST: Final = "manifest.sha256"
MODELS: Final = "models"

#: Folders of the data folder, and that of the models.
SECTIONS: Final = (PICTURES_FOLDER, KEPT_FOLDER, BATCHES_FOLDER, MODELS)

#: So much of a manifest is read: hundreds of thousands of members.
MANIFEST_MAX_BYTES: Final = 256 << 20


class BadArchive(InvalidRequest):
    """The file is no archive of gw's, or not as it was written."""

    code = "bad_archive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of the archive: its length, the sha256 of its content in hex, and what it was."""

    bytes: int
    sha256: str
    mode: int
    modified_unix_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is in an archive. *server_product* and *server_version* are who wrote the store.

    *jobs* counts the live jobs by state when the archive was begun, and every end until then.
    """

    gw_version: str
    taken_unix_ms: int
    prefix: str
    server_product: str
    server_version: str
    jobs: Mapping[str, int]
    members: Mapping[str, Member]
    format: int = FORMAT

    @property
    def live_jobs(self) -> int:
        """Give how many jobs were on their way."""
        return sum(self.jobs.get(state, 0) for state in JobState if not state.is_terminal)

    def count(self, section: str) -> int:
        """Give how many files a section has."""
        return sum(name.startswith(section + "/") for name in self.members)

    def to_json(self) -> bytes:
        """Write the document."""
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read the document; raises BadArchive."""
        try:
            document: dict[str, Any] = json.loads(text)
            if document["format"] != FORMAT:
                raise BadArchive(
                    f"the archive has format {document['format']!r}, and this gw reads {FORMAT};"
                    " use the gw that wrote it"
                )
            members = {
                name: from_document(Member, each) for name, each in document.pop("members").items()
            }
            manifest = from_document(cls, document | {"members": members})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BadArchive("the archive's manifest does not parse") from error
        for name in members:
            check_name(name)
        return manifest


def check_name(name: str) -> None:
    """Refuse a member that could lie outside the folders it is for; raises BadArchive."""
    section, *rest = name.split("/")
    if name in {STORE, API_KEY}:
        return
    if section not in SECTIONS or not rest or not all(map(_is_plain, rest)):
        raise BadArchive(f"the archive has a member that is not gw's: {name[:100]!r}")


def _is_plain(part: str) -> bool:
    return part not in {"", ".", ".."} and "\0" not in part and "\\" not in part
