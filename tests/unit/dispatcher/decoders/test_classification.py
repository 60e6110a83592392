"""Classification: softmax, order, and outputs that are not numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.cards.card import ClassificationDecoder
from dispatcher.decoders import reduce_outputs
from pipeline.errors import ModelFault
from pipeline.models.findings import ClassScore
from tests.unit.dispatcher.decoders.frames import single, stretched

PLACEMENT = stretched(8, 8)


def classes(
    spec: ClassificationDecoder, rows: list[list[float]], *, item: int = 0
) -> tuple[ClassScore, ...]:
    """Reduce one row of a batch of scores."""
    outputs = single(np.array(rows, dtype=np.float32))
    return reduce_outputs(spec, outputs, PLACEMENT, item=item).classes


def test_softmax_by_hand() -> None:
    """Logits ln 1, ln 2 and ln 5 are shares of an eighth, a quarter and five eighths."""
    found = classes(
        ClassificationDecoder(top_k=2), [[0.0] * 3, [0.0, math.log(2), math.log(5)]], item=1
    )

    assert [c.class_id for c in found] == [2, 1]
    assert [c.score for c in found] == pytest.approx([0.625, 0.25])


def test_scores_are_taken_as_they_are_without_softmax() -> None:
    """A model that ends in its own softmax is believed, within 0 to 1."""
    spec = ClassificationDecoder(softmax=False)

    found = classes(spec, [[0.25, -0.1, 0.5, 1.0001]])

    assert [(c.class_id, c.score) for c in found] == [(3, 1.0), (2, 0.5), (0, 0.25), (1, 0.0)]


def test_equal_scores_stand_in_the_order_of_their_classes() -> None:
    """Ties do not depend on the sorting."""
    found = classes(ClassificationDecoder(top_k=3), [[1.0] * 500])

    assert [c.class_id for c in found] == [0, 1, 2]


def test_large_logits_do_not_overflow() -> None:
    """Logits far beyond what exp can take still give shares."""
    found = classes(ClassificationDecoder(top_k=1), [[9000.0, 9000.0]])

    assert found[0].score == pytest.approx(0.5)


def test_classes_that_are_no_numbers_are_dropped() -> None:
    """NaN and infinities leave; the rest is scored without them."""
    found = classes(ClassificationDecoder(), [[math.nan, 0.0, math.inf, 0.0, -math.inf]])

    assert [(c.class_id, c.score) for c in found] == [(1, 0.5), (3, 0.5)]


def test_nothing_but_nan_gives_no_class() -> None:
    """A row without a single number has no classes, and is no crash."""
    assert classes(ClassificationDecoder(), [[math.nan] * 4]) == ()


def test_trailing_axes_of_one_are_read_through() -> None:
    """A head of shape (batch, classes, 1, 1) is a head of (batch, classes)."""
    values = np.array([[0.1, 0.7, 0.2]], np.float16).reshape(1, 3, 1, 1)

    found = reduce_outputs(
        ClassificationDecoder(softmax=False, top_k=1), single(values), PLACEMENT, item=0
    )

    assert found.classes[0].class_id == 1


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 0), (1, 1, 5), (1,)])
def test_other_shapes_are_a_model_fault(shape: tuple[int, ...]) -> None:
    """An output of another shape is refused with both shapes."""
    with pytest.raises(ModelFault) as caught:
        reduce_outputs(ClassificationDecoder(), single(np.zeros(shape)), PLACEMENT, item=0)

    assert str(shape) in str(caught.value)
    assert "expected (batch, classes)" in str(caught.value)


def test_a_batch_that_is_too_short_is_a_model_fault() -> None:
    """A picture that the batch does not hold is refused with the shape got."""
    with pytest.raises(ModelFault, match=r"\(1, 3\); expected at least 2 along the first axis"):
        classes(ClassificationDecoder(), [[1.0, 2.0, 3.0]], item=1)


def test_no_output_is_a_model_fault() -> None:
    """A model without outputs is refused."""
    with pytest.raises(ModelFault, match="gave no output"):
        reduce_outputs(ClassificationDecoder(), [], PLACEMENT, item=0)


@given(row=st.lists(st.floats(width=32), min_size=1, max_size=30), softmax=st.booleans())
def test_any_row_gives_sorted_scores_between_0_and_1(row: list[float], softmax: bool) -> None:
    """Whatever the outputs, scores are numbers of 0 to 1, best first."""
    found = classes(ClassificationDecoder(softmax=softmax), [row])

    scores = [c.score for c in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
