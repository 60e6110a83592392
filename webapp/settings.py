"""What the operator can set for the webapp."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipeline.pictures.blobs import PICTURES_FOLDER
from pipeline.settings import ServiceSettings, setting

#: What a JSON body may hold besides its picture in base64.
_JSON_MARGIN_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSettings:
    """The bounds of one submission."""

    picture_max_bytes: int = setting(
        "GW_PICTURE_MAX_BYTES",
        20 * 1024 * 1024,
        "The largest picture that is taken, as a file.",
        at_least=1024,
    )
    picture_max_pixels: int = setting(
        "GW_PICTURE_MAX_PIXELS",
        50_000_000,
        "The largest picture that is decoded, in pixels.",
        at_least=1,
    )
    request_max_bytes: int = setting(
        "GW_REQUEST_MAX_BYTES",
        64 * 1024 * 1024,
        "The largest body of a request with several pictures.",
        at_least=1024,
    )
    json_max_bytes: int = setting(
        "GW_JSON_MAX_BYTES",
        0,
        "The largest JSON body; 0 is room for the largest picture in base64.",
        at_least=0,
    )
    jobs_per_request_max: int = setting(
        "GW_JOBS_PER_REQUEST_MAX",
        32,
        "How many pictures one request may carry.",
        at_least=1,
        at_most=256,
    )
    upload_timeout_s: float = setting(
        "GW_UPLOAD_TIMEOUT_S",
        60.0,
        "How long a body may take to arrive, whole.",
        at_least=0.1,
        at_most=3600,
    )
    uploads_memory_mb: int = setting(
        "GW_UPLOADS_MEMORY_MB",
        512,
        "How much memory all bodies that are arriving may take together.",
        at_least=1,
    )

    @property
    def json_limit_bytes(self) -> int:
        """Give the largest JSON body: as set, or with room for the largest picture in base64."""
        return self.json_max_bytes or (self.picture_max_bytes + 2) // 3 * 4 + _JSON_MARGIN_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class WebappSettings:
    """The webapp's settings."""

    service: ServiceSettings = field(default_factory=ServiceSettings)
    http_host: str = setting(
        "GW_HTTP_HOST", "127.0.0.1", "The address to listen on; 0.0.0.0 for all."
    )
    http_port: int = setting(
        "GW_HTTP_PORT",
        8080,
        "The port to listen on; 0 takes a free one.",
        at_least=0,
        at_most=65535,
    )
    uploads: UploadSettings = field(default_factory=UploadSettings)
    jobs_waiting_max: int = setting(
        "GW_JOBS_WAITING_MAX",
        100_000,
        "How many jobs may wait for a device; past it new ones are answered 429.",
        at_least=1,
    )
    disk_free_min_mb: int = setting(
        "GW_DISK_FREE_MIN_MB",
        512,
        "With less left on the disk for pictures nothing is accepted.",
        at_least=0,
    )
    blob_threads: int = setting(
        "GW_BLOB_THREADS",
        4,
        "How many pictures are written to the disk at once.",
        at_least=1,
        at_most=256,
    )
    wait_max_s: int = setting(
        "GW_WAIT_MAX_S",
        60,
        "The longest that a request may wait for its job's end (Prefer: wait).",
        at_least=0,
        at_most=600,
    )
    url_fetch_timeout_s: float = setting(
        "GW_URL_FETCH_TIMEOUT_S",
        15.0,
        "How long fetching a picture from its URL may take, whole.",
        at_least=0.1,
        at_most=300,
    )
    egress_allow: str = setting(
        "GW_EGRESS_ALLOW",
        "",
        "Private ranges that URLs may lead to, such as 192.168.10.0/24:80,443.",
    )

    @property
    def blobs_dir(self) -> Path:
        """Give the folder of pictures that wait."""
        return self.service.data_dir / PICTURES_FOLDER
