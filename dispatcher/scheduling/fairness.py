"""Fair shares of the device between tenants: start-time fair queueing, pure.

Source: P. Goyal, H. Vin, H. Cheng, *Start-time Fair Queueing*, 1996; with several jobs outstanding
at once, W. Jin, J. Chase, J. Kaur, *Interposed Proportional Sharing for a Storage Service Utility*,
2004 (SFQ(D)).

Every claimed job gets a turn, a moment of virtual time: its tenant's last turn plus one over the
tenant's weight, but no earlier than the oldest turn that is still held. Lower turns go first, at
the claim and on the device. So a tenant with work gets at least its share, whoever idles saves
nothing up, and a tenant that comes back waits for no more than what is held already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heapreplace


class FairShare:
    """The turns of the tenants of one model at one priority."""

    def __init__(self) -> None:
        # The earliest next turn of each tenant that has had one which is not yet passed.
        self._next: dict[str, float] = {}
        self._newest = 0.0

    def now(self, held: Iterable[float]) -> float:
        """Give the virtual time while the turns of *held* jobs are outstanding."""
        return min(held, default=self._newest)

    def order(self, weights: Mapping[str, float], *, room: int, now: float) -> list[str]:
        """Give the tenants that the next *room* turns belong to, if all of *weights* have work."""
        if not weights or room <= 0:
            return []
        turns = [(self._turn(tenant, now), tenant) for tenant in weights]
        heapify(turns)
        order = []
        for _ in range(room):
            turn, tenant = turns[0]
            order.append(tenant)
            heapreplace(turns, (turn + 1.0 / weights[tenant], tenant))
        return order

    def take(self, tenant: str, *, weight: float, now: float) -> float:
        """Give the turn of a job of *tenant* that was claimed, and charge it."""
        turn = self._turn(tenant, now)
        self._next[tenant] = turn + 1.0 / weight
        self._newest = max(self._newest, turn)
        return turn

    def forget_passed(self, now: float) -> None:
        """Forget the tenants whose next turn is now anyway."""
        self._next = {tenant: turn for tenant, turn in self._next.items() if turn > now}

    def _turn(self, tenant: str, now: float) -> float:
        return max(now, self._next.get(tenant, now))
