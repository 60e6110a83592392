"""What the operator can set for the notifier."""

from __future__ import annotations

from dataclasses import dataclass, field

from egress.settings import EgressSettings
from notifier.schedule import DEFAULT_SCHEDULE
from pipeline.settings import ServiceSettings, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierSettings:
    """The notifier's settings."""

    service: ServiceSettings = field(default_factory=ServiceSettings)
    egress: EgressSettings = field(default_factory=EgressSettings)
    egress_allow: str = setting(
        "GW_EGRESS_ALLOW",
        "",
        "Private or loopback ranges that may be called: CIDRs, each with its ports, such as "
        "`192.168.10.0/24:80,443 10.0.5.7/32:8000`.",
    )
    attempt_timeout_s: float = setting(
        "GW_ATTEMPT_TIMEOUT_S",
        15.0,
        "How long one attempt may take in all, from the name's resolution to the answer's end.",
        at_least=0.5,
        at_most=60,
    )
    retry_schedule: str = setting(
        "GW_RETRY_SCHEDULE",
        DEFAULT_SCHEDULE,
        "The waits between the attempts of a delivery; up to a fifth is added at random.",
    )
    endpoint_concurrency: int = setting(
        "GW_ENDPOINT_CONCURRENCY",
        4,
        "How many attempts may be under way at one receiver.",
        at_least=1,
        at_most=256,
    )
    endpoint_queue: int = setting(
        "GW_ENDPOINT_QUEUE",
        64,
        "How many deliveries to one receiver are held ready; more are put off.",
        at_least=1,
        at_most=10_000,
    )
    backlog_per_s: float = setting(
        "GW_BACKLOG_PER_S",
        100.0,
        "After an outage of a receiver at most so many of the deliveries that waited go to it in a "
        "second.",
        at_least=1,
        at_most=100_000,
    )
    public_url: str = setting(
        "GW_PUBLIC_URL",
        "",
        "Where callers reach the API, for the links of thin payloads, such as "
        "`https://gw.example.com`; without it the links are paths.",
    )
    held_max: int = setting(
        "GW_DELIVERIES_HELD",
        1024,
        "How many deliveries are held in memory at once, over all receivers.",
        at_least=1,
        at_most=100_000,
    )
    lease_s: float = setting(
        "GW_NOTIFIER_LEASE_S",
        30.0,
        "After this long without renewal another notifier takes over a claimed delivery.",
        at_least=1,
        at_most=600,
    )
