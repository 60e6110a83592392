"""The batch's record, its items, and what it needs next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.batches.batch import (
    Batch,
    BatchCounts,
    BatchState,
    Item,
    OperationsQueue,
    Sampling,
    SourceKind,
    Step,
    next_step,
    queue_of,
)
from pipeline.errors import MalformedMessage
from pipeline.ids import is_id
from tests.builders import make_batch, make_subscriber

COUNTS = BatchCounts(items=5, jobs=4, refused=1, succeeded=1, failed=1)


def test_a_record_survives_its_fields() -> None:
    """Every field comes back as it was written; counts are the scripts' to write."""
    batch = make_batch(
        kind=SourceKind.VIDEO,
        sampling=Sampling(every_s=0.5),
        state=BatchState.CANCELING,
        is_withdrawn=True,
        attempts=2,
        finished_unix_ms=9,
        reason_code="zip_bomb",
        reason="why",
    )
    batch = replace(
        batch, template=replace(batch.template, subscribers=(make_subscriber(),), job_id="")
    )

    assert Batch.from_fields(batch.batch_id, batch.to_fields() | {"colour": "red"}) == batch


@pytest.mark.parametrize("field", sorted(make_batch().to_fields()))
def test_a_missing_field_is_malformed(field: str) -> None:
    """No field is silently defaulted."""
    fields = make_batch().to_fields()
    del fields[field]

    with pytest.raises(MalformedMessage):
        Batch.from_fields("batch_x", fields)


def test_counts_are_read_from_the_record() -> None:
    """What no script has counted yet is nothing."""
    fields = make_batch().to_fields() | {"items": "5", "jobs": "4", "refused": "1"}
    fields |= {"succeeded": "1", "failed": "1"}

    counts = Batch.from_fields("batch_x", fields).counts

    assert (counts, counts.ended, counts.live) == (COUNTS, 2, 2)


def test_an_items_job_is_always_the_same() -> None:
    """An expansion that is repeated names the same jobs, and no two items share one."""
    batch = make_batch()

    ids = [batch.job_id(index) for index in range(1000)]

    assert ids == [replace(batch, attempts=3).job_id(index) for index in range(1000)]
    assert len(set(ids)) == 1000
    assert all(is_id(job_id, "job") for job_id in ids)
    assert make_batch().job_id(0) not in ids


def test_an_items_job_announces_nothing_itself() -> None:
    """Whoever asked for a batch is told of its end, not of each job's."""
    batch = make_batch()
    batch = replace(batch, template=replace(batch.template, subscribers=(make_subscriber(),)))

    job = batch.job(3, batch.template.picture)

    assert (job.job_id, job.batch_id, job.subscribers) == (batch.job_id(3), batch.batch_id, ())
    assert job.model == batch.template.model


@pytest.mark.parametrize(
    ("changes", "step"),
    [
        ({}, Step.EXPAND),
        ({"counts": COUNTS}, Step.EXPAND),
        ({"state": BatchState.RUNNING, "counts": COUNTS}, None),
        ({"state": BatchState.RUNNING}, Step.FINISH),
        ({"state": BatchState.RUNNING, "counts": replace(COUNTS, canceled=2)}, Step.FINISH),
        ({"state": BatchState.CANCELING}, Step.WITHDRAW),
        ({"state": BatchState.CANCELING, "counts": COUNTS}, Step.WITHDRAW),
        ({"state": BatchState.CANCELING, "counts": COUNTS, "is_withdrawn": True}, None),
        ({"state": BatchState.CANCELING, "is_withdrawn": True}, Step.FINISH),
        ({"state": BatchState.COMPLETED}, None),
        ({"state": BatchState.CANCELED}, None),
        ({"state": BatchState.FAILED}, None),
    ],
)
def test_a_batch_needs_one_step_at_a_time(changes: dict[str, object], step: Step | None) -> None:
    """Expand, wait for the jobs, finish; a withdrawn one is withdrawn first."""
    assert next_step(make_batch(**changes)) is step


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"state": BatchState.RUNNING}, BatchState.COMPLETED),
        ({"state": BatchState.RUNNING, "reason_code": "zip_bomb"}, BatchState.FAILED),
        ({"state": BatchState.CANCELING, "reason_code": "zip_bomb"}, BatchState.CANCELED),
    ],
)
def test_a_batch_ends_as_it_went(changes: dict[str, object], state: BatchState) -> None:
    """Withdrawn is canceled; a source that gave a reason has failed."""
    assert make_batch(**changes).final_state is state


def test_only_videos_need_the_media_workers() -> None:
    """Archives and lists are expanded without OpenCV."""
    assert {kind for kind in SourceKind if queue_of(kind) is OperationsQueue.MEDIA} == {
        SourceKind.VIDEO
    }
    assert [queue.service for queue in OperationsQueue] == ["operations", "operations-media"]


def test_an_item_survives_its_text() -> None:
    """Whatever its label holds."""
    item = Item(name='a "quoted", 名', error_code="invalid_picture", error="no")

    assert Item.from_json_text(item.to_json_text()) == item
    with pytest.raises(MalformedMessage):
        Item.from_json_text("{}")
