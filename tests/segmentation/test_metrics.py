import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bsa_vision.segmentation.metrics import (
    agreement_document,
    class_agreement,
    confusion,
    mean_dice,
)

masks = hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 3))


def test_counts_of_a_table_worked_by_hand() -> None:
    truth = np.array([[0, 0, 1, 1], [1, 2, 2, 255]], np.uint8)
    predicted = np.array([[0, 1, 1, 1], [0, 2, 1, 0]], np.uint8)
    counts = confusion(truth, predicted, (0, 1, 2))
    assert counts.tolist() == [[1, 1, 0], [1, 2, 0], [0, 1, 1]]
    background, one, two = class_agreement(counts, ("a", "b", "c"))
    assert background.dice == 2 * 1 / (2 + 2)
    assert (one.precision, one.recall, one.iou) == (2 / 4, 2 / 3, 2 / 5)
    assert (two.precision, two.recall) == (1.0, 1 / 2)


def test_a_ratio_of_nothing_is_none() -> None:
    truth = np.zeros((2, 2), np.uint8)
    agreement = class_agreement(confusion(truth, truth, (0, 1)), ("a", "b"))
    assert agreement[1].dice is None
    assert agreement[1].precision is None
    assert agreement[1].recall is None
    assert mean_dice(agreement) == 1.0
    assert mean_dice(class_agreement(np.zeros((2, 2), np.int64), ("a", "b"))) is None


def test_codes_need_not_be_consecutive() -> None:
    truth = np.array([[0, 255]], np.uint8)
    assert confusion(truth, truth, (0, 255)).tolist() == [[1, 0], [0, 1]]


def test_unknown_predicted_code_and_wrong_shape_are_refused() -> None:
    truth = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match=r"\[7\]"):
        confusion(truth, np.full((2, 2), 7, np.uint8), (0, 1))
    with pytest.raises(ValueError, match="one shape"):
        confusion(truth, np.zeros((2, 3), np.uint8), (0, 1))


@given(masks, masks)
def test_dice_follows_from_iou_and_every_pixel_is_counted(
    truth: np.ndarray, predicted: np.ndarray
) -> None:
    counts = confusion(truth, predicted, range(4))
    assert counts.sum() == truth.size
    for agreement in class_agreement(counts, "abcd"):
        if agreement.iou is not None and agreement.dice is not None:
            assert agreement.dice == pytest.approx(2 * agreement.iou / (1 + agreement.iou))


@given(masks, masks, masks, masks)
def test_pooling_is_counting_the_joined_masks(
    t1: np.ndarray, p1: np.ndarray, t2: np.ndarray, p2: np.ndarray
) -> None:
    pooled = confusion(t1, p1, range(4)) + confusion(t2, p2, range(4))
    joined = confusion(np.vstack([t1, t2]), np.vstack([p1, p2]), range(4))
    assert np.array_equal(pooled, joined)


def test_document_names_codes_in_row_order() -> None:
    truth = np.array([[0, 9, 9]], np.uint8)
    document = agreement_document(confusion(truth, truth, (0, 9)), {0: "background", 9: "wound"})
    assert document["pixels"] == 3
    assert document["pixel_accuracy"] == 1.0
    assert [c["code"] for c in document["classes"]] == [0, 9]
