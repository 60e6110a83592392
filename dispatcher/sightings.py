"""How often entries came whose jobs could not be read: after some times they are put aside."""

from __future__ import annotations

from collections import OrderedDict

from pipeline.streams import Entry

#: An entry comes back once in a lease. Another version of gw that reads its job may be among the
#: dispatchers, or come with an update that is under way.
SIGHTINGS_MAX = 5

#: So many entries are remembered. Most come once: their jobs had ended, and they are settled.
_REMEMBERED_MAX = 10_000


class Sightings:
    """Counts by entry, in this process's life."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()

    def are_enough(self, entry: Entry) -> bool:
        """Count that *entry* came, and say whether it is time to put it aside."""
        name = entry.stream, entry.entry_id
        count = self._counts.pop(name, 0) + 1
        if count >= SIGHTINGS_MAX:
            return True
        self._counts[name] = count
        if len(self._counts) > _REMEMBERED_MAX:
            self._counts.popitem(last=False)
        return False
