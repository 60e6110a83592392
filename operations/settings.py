"""What the operator can set for the operations plane."""

from __future__ import annotations

from dataclasses import dataclass, field

from egress.settings import EgressSettings
from pipeline.batches.batch import OperationsQueue
from pipeline.batches.settings import BatchLimits
from pipeline.data_folders import DataFolders
from pipeline.settings import ServiceSettings, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsSettings(DataFolders):
    """The operations plane's settings."""

    service: ServiceSettings = field(default_factory=ServiceSettings)
    batches: BatchLimits = field(default_factory=BatchLimits)
    queue: str = setting(
        "GW_OPERATIONS_QUEUE",
        OperationsQueue.DEFAULT.value,
        "Which queue this process works: `media` needs OpenCV, and is worked in the dispatcher's"
        " image.",
        one_of=tuple(queue.value for queue in OperationsQueue),
    )
    batch_jobs_waiting_max: int = setting(
        "GW_BATCH_JOBS_WAITING_MAX",
        1000,
        "Batches are expanded only while fewer jobs than this wait for a device, so that there is"
        " room for everybody else; keep it below GW_JOBS_WAITING_MAX.",
        at_least=1,
    )
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
    url_fetch_timeout_s: float = setting(
        "GW_URL_FETCH_TIMEOUT_S",
        15.0,
        "How long fetching a picture from its URL may take, whole.",
        at_least=0.1,
        at_most=300,
    )
    egress: EgressSettings = field(default_factory=EgressSettings)
    egress_allow: str = setting(
        "GW_EGRESS_ALLOW",
        "",
        "Private ranges that URLs may lead to, such as 192.168.10.0/24:80,443.",
    )
    parked_retention_s: int = setting(
        "GW_PARKED_RETENTION_S",
        30 * 24 * 3600,
        "How long an entry that could not be read is kept in the dead stream.",
        at_least=60,
    )

    replay_per_s: float = setting(
        "GW_REPLAY_PER_S",
        50.0,
        "Recovering and replaying puts at most so many deliveries of one endpoint on their way in a"
        " second; an endpoint's own rate is kept too.",
        at_least=0.1,
        at_most=10_000,
    )
