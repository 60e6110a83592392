"""How many of a batch's pictures fit within its tenant's limits."""

from __future__ import annotations

import pytest

from operations.room import fitting
from pipeline.access.tenants import Tenant
from pipeline.jobs.loads import Loads, bytes_field, jobs_field


@pytest.mark.parametrize(
    ("limits", "jobs", "stored_bytes", "expected"),
    [
        ({}, 10**6, 10**9, 3),
        ({"jobs_waiting_max": 10}, 0, 0, 3),
        # Half of them are left to what comes beside the batch.
        ({"jobs_waiting_max": 10}, 4, 0, 1),
        ({"jobs_waiting_max": 10}, 5, 0, 0),
        ({"jobs_waiting_max": 1}, 0, 0, 1),
        ({"jobs_waiting_max": 1}, 1, 0, 0),
        ({"bytes_max": 1000}, 0, 0, 3),
        ({"bytes_max": 1000}, 0, 250, 2),
        ({"bytes_max": 1000}, 0, 401, 0),
        # The first one is larger than the half: it may have the whole, alone.
        ({"bytes_max": 150}, 0, 0, 1),
        ({"bytes_max": 150}, 0, 1, 0),
        ({"bytes_max": 1000, "jobs_waiting_max": 2}, 0, 250, 1),
    ],
)
def test_a_batch_takes_half_of_its_tenants_limits(
    limits: dict[str, int], jobs: int, stored_bytes: int, expected: int
) -> None:
    """Of three pictures of 100 bytes as many come as both limits leave."""
    loads = Loads(fields={jobs_field("acme"): jobs, bytes_field("acme"): stored_bytes})

    assert fitting([100, 100, 100], Tenant(tenant="acme", **limits), loads) == expected
