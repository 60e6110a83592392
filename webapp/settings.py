"""What the operator can set for the webapp."""

from __future__ import annotations

from dataclasses import dataclass, field

from egress.settings import EgressSettings
from pipeline.batches.settings import BatchLimits
from pipeline.data_folders import DataFolders
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
    infer_json_max_bytes: int = setting(
        "GW_INFER_JSON_MAX_BYTES",
        8 * 1024 * 1024,
        "The most JSON that an inference request may have; what is larger is sent as binary.",
        at_least=1024,
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
class EventSettings:
    """How long events are kept, and the bounds of the streams that tell them."""

    events_max: int = setting(
        "GW_EVENTS_MAX",
        100_000,
        "How many events are kept for each tenant; a job has two. One takes some 60 bytes of"
        " Redis's memory.",
        at_least=100,
    )
    events_retention_s: int = setting(
        "GW_EVENTS_RETENTION_S",
        7 * 24 * 3600,
        "How long events are kept for those who read them later.",
        at_least=60,
        at_most=31_536_000,
    )
    streams_max: int = setting(
        "GW_STREAMS_MAX",
        200,
        "How many event streams and long polls may be open; past it they are answered 503.",
        at_least=1,
        at_most=10_000,
    )
    tenant_streams_max: int = setting(
        "GW_STREAMS_PER_TENANT_MAX",
        50,
        "How many of them one tenant may have open; past it they are answered 429.",
        at_least=1,
        at_most=10_000,
    )
    heartbeat_s: float = setting(
        "GW_STREAM_HEARTBEAT_S",
        15.0,
        "How often a silent event stream gives a sign of life.",
        at_least=0.1,
        at_most=300,
    )
    send_timeout_s: float = setting(
        "GW_STREAM_SEND_TIMEOUT_S",
        10.0,
        "How long the reader of an event stream may take to read before it is cut.",
        at_least=0.1,
        at_most=300,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebappSettings(DataFolders):
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
    events: EventSettings = field(default_factory=EventSettings)
    batches: BatchLimits = field(default_factory=BatchLimits)
    batch_upload_timeout_s: float = setting(
        "GW_BATCH_UPLOAD_TIMEOUT_S",
        3600.0,
        "How long an archive or a video may take to arrive, whole.",
        at_least=1,
        at_most=86_400,
    )
    batches_open_max: int = setting(
        "GW_BATCHES_OPEN_MAX",
        100,
        "How many batches may be open; past it new ones are answered 429.",
        at_least=1,
        at_most=10_000,
    )
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
    pictures_max_mb: int = setting(
        "GW_PICTURES_MAX_MB",
        0,
        "How much all pictures that wait for a device may take together; 0 leaves it to the disk.",
        at_least=0,
    )
    memory_free_min_mb: int = setting(
        "GW_MEMORY_FREE_MIN_MB",
        64,
        "With less of the machine's memory left nothing is accepted.",
        at_least=0,
    )
    redis_memory_max_percent: float = setting(
        "GW_REDIS_MEMORY_MAX_PERCENT",
        90.0,
        "When Redis uses more of its maxmemory nothing is accepted: the rest is for what was.",
        at_least=1,
        at_most=100,
    )
    cors_origins: str = setting(
        "GW_CORS_ORIGINS",
        "",
        "Origins whose pages may call the API, such as https://ui.example.com; none by default.",
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
    idempotency_s: int = setting(
        "GW_IDEMPOTENCY_S",
        24 * 3600,
        "How long a repeated request with the same Idempotency-Key is answered as the first.",
        at_least=60,
        at_most=2_592_000,
    )
    url_fetch_timeout_s: float = setting(
        "GW_URL_FETCH_TIMEOUT_S",
        15.0,
        "How long fetching a picture from its URL may take, whole.",
        at_least=0.1,
        at_most=300,
    )
    public_url: str = setting(
        "GW_PUBLIC_URL",
        "",
        "Where callers reach the API, for the links of answers that must be whole, such as "
        "`https://gw.example.com`; without it they are made of the request's own host.",
    )
    egress: EgressSettings = field(default_factory=EgressSettings)
    egress_allow: str = setting(
        "GW_EGRESS_ALLOW",
        "",
        "Private ranges that URLs may lead to, such as 192.168.10.0/24:80,443.",
    )
