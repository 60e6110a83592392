"""The record of an operation."""

from __future__ import annotations

import pytest

from pipeline.deliveries.operation import Operation, OperationKind, OperationState
from pipeline.errors import MalformedMessage

OPERATION = Operation(
    operation_id="op_1",
    kind=OperationKind.REPLAY,
    tenant="acme",
    endpoint_id="ep_1",
    from_unix_ms=1,
    until_unix_ms=2,
    created_unix_ms=3,
    only_missing=True,
    state=OperationState.FAILED,
    cursor="jobs:5-0",
    paced_unix_ms=6,
    sent=7,
    passed_over=8,
    finished_unix_ms=9,
    reason="endpoint_removed",
)


def test_a_record_comes_back_as_it_was() -> None:
    """What was written is what is read, whatever a later version adds."""
    fields = OPERATION.to_fields() | {"later": "x"}

    assert Operation.from_fields("op_1", fields) == OPERATION


@pytest.mark.parametrize("field", sorted(OPERATION.to_fields()))
def test_a_missing_field_is_malformed(field: str) -> None:
    """Nothing is silently defaulted."""
    fields = OPERATION.to_fields()
    del fields[field]

    with pytest.raises(MalformedMessage, match=field):
        Operation.from_fields("op_1", fields)
