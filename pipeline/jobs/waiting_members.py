"""How infer streams are named in the set of those that hold jobs for a model."""

from __future__ import annotations

from pipeline.jobs.job import Priority


def waiting_member(priority: Priority, tenant: str) -> str:
    """Name an infer stream in the set of its model's; "" is the tenant of an older webapp's."""
    return f"{priority}:{tenant}"


def parse_waiting_member(member: str) -> tuple[Priority, str]:
    """Give the priority and the tenant that a member of the set names; raises ValueError."""
    priority, _, tenant = member.partition(":")
    return Priority(priority), tenant
