"""Finds the items of a failing batch that make it fail, so that only they do.

A batch that the runtime refuses is run again in halves: a run costs little, and halving takes few.
A batch that costs the device process is run again item by item: each further loss means a restart
and a reload, and this way every culprit costs one, where halving would cost one per level. An item
is condemned once it is alone and has brought the process down twice, so a process that somebody
killed from outside takes no innocent item with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from dispatcher.decoders.outputs import NamedOutput
from dispatcher.device.errors import DeviceLost
from dispatcher.device.link import Inference
from pipeline.errors import JobFault, Unavailable

T = TypeVar("T")

# In how many lost runs an item must have been before it is condemned.
_LOSSES_TO_CONDEMN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemOutputs:
    """What the model gave for one item: entry *item* of each of *outputs*.

    *fell_back* tells that the device was to decode its picture, and could not.
    """

    outputs: Sequence[NamedOutput]
    item: int
    fell_back: bool = False


#: The item's outputs; or what the model or its picture failed with; or that it never ran to an end.
ItemOutcome = ItemOutputs | JobFault | Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Positions of items that run together, and how often they were there when the device went."""

    items: tuple[int, ...]
    losses: int = 0


class BatchOutcome:
    """What became of each item, in the batch's order. The outputs are shared memory until release.

    *device_ms* is the time of the runs that ended well, *runs* how many were tried.
    """

    def __init__(self, size: int) -> None:
        self.items: list[ItemOutcome] = [Unavailable("the batch was given up")] * size
        self.device_ms = 0.0
        self.runs = 0
        self._inferences: list[Inference] = []

    def add(self, group: Group, inference: Inference) -> None:
        """Note that *group* ran well."""
        self._inferences.append(inference)
        self.device_ms += inference.device_ms
        for position, item in enumerate(group.items):
            self.items[item] = ItemOutputs(
                outputs=inference.outputs, item=position, fell_back=position in inference.fell_back
            )

    def release(self) -> None:
        """Give the memory of all outputs back."""
        while self._inferences:
            self._inferences.pop().release()


async def infer_isolated(
    infer: Callable[[Sequence[T]], Awaitable[Inference]], items: Sequence[T]
) -> BatchOutcome:
    """Run *items* with *infer*, again in parts where it fails, until each has an outcome.

    At most ``3 * len(items)`` runs, and a lost device for each culprit plus one. If the device goes
    away for good, the items not yet through get its Unavailable. Anything else that *infer* raises
    is passed on.
    """
    outcome = BatchOutcome(len(items))
    waiting = deque([Group(items=tuple(range(len(items))))])
    try:
        while waiting:
            group = waiting.popleft()
            outcome.runs += 1
            try:
                inference = await infer([items[i] for i in group.items])
            except JobFault as fault:
                parts = split(group, lost=isinstance(fault, DeviceLost))
                waiting.extendleft(reversed(parts))
                if not parts:
                    outcome.items[group.items[0]] = fault
            except Unavailable as away:
                for left in (group, *waiting):
                    for item in left.items:
                        outcome.items[item] = away
                return outcome
            else:
                outcome.add(group, inference)
    except BaseException:
        outcome.release()
        raise
    return outcome


def split(group: Group, *, lost: bool) -> list[Group]:
    """Give what to run after *group* failed; nothing if its one item is the culprit."""
    losses = group.losses + lost
    if len(group.items) == 1:
        if lost and losses < _LOSSES_TO_CONDEMN:
            return [Group(items=group.items, losses=losses)]
        return []
    if lost:
        return [Group(items=(item,), losses=losses) for item in group.items]
    middle = len(group.items) // 2
    return [
        Group(items=half, losses=losses) for half in (group.items[:middle], group.items[middle:])
    ]
