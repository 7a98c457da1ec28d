from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bsa_vision.segmentation.gate import (
    DRAWS,
    FEW_PATIENTS,
    OVERALL_MARGIN,
    STRATUM_MARGIN,
    Stratum,
    gate_document,
    judge,
    pooled_dice,
)
from bsa_vision.segmentation.metrics import class_agreement

N = 3
Tables = NDArray[np.int64]


def _table(dice: float, pixels: int = 1000) -> Tables:
    """Background right; each of the two other classes as often true as found, with this Dice."""
    wrong = round(pixels * (1 - dice))
    table = np.diag([5 * pixels, pixels - wrong, pixels - wrong])
    table[1, 2] = table[2, 1] = wrong
    return table


def _tables(seed: int, images: int) -> Tables:
    return np.random.default_rng(seed).integers(0, 1000, (images, N, N))


def _patients(images: int) -> list[str]:
    """Two images each."""
    return [f"P{i // 2}" for i in range(images)]


def _tones(images: int, number: int) -> list[dict[str, str]]:
    """A skin tone for each patient in turn."""
    return [{"skin_tone": f"Monk {i // 2 % number:02d}"} for i in range(images)]


def _by_name(strata: tuple[Stratum, ...]) -> dict[str, Stratum]:
    return {stratum.name: stratum for stratum in strata}


@given(st.integers(0, 1000), st.integers(1, 30), st.integers(1, 4))
def test_identical_models_pass_with_no_difference(seed: int, images: int, tones: int) -> None:
    tables = _tables(seed, images)
    strata = judge(np.stack([tables, tables], axis=1), _patients(images), _tones(images, tones))
    assert gate_document(strata)["passed"]
    for stratum in strata:
        assert stratum.not_worse
        assert stratum.difference == 0
        assert stratum.low == (None if stratum.few else 0)
        assert stratum.few == (stratum.patients < FEW_PATIENTS)


@given(st.integers(0, 3), st.floats(0.4, 0.9), st.integers(0, 1000))
def test_a_model_worse_in_one_group_fails_and_the_group_is_named(
    worse: int, dice: float, seed: int
) -> None:
    images = 80  # ten patients of each tone
    rng = np.random.default_rng(seed)
    groups = _tones(images, 4)
    counts = np.zeros((images, 2, N, N), np.int64)
    for image, group in enumerate(groups):
        now = dice + rng.uniform(-0.05, 0.05)
        fall = 0.2 if group["skin_tone"] == f"Monk {worse:02d}" else -0.1
        counts[image] = _table(now), _table(min(now - fall, 1))
    document = gate_document(judge(counts, _patients(images), groups))
    # Better on the whole: 3 * 0.1 - 0.2 over four.
    assert document["strata"][0]["not_worse"]
    assert not document["passed"]
    assert document["failing"] == [f"skin_tone: Monk {worse:02d}"]


@pytest.mark.parametrize(
    ("fall", "passed"), [(OVERALL_MARGIN - 0.004, True), (OVERALL_MARGIN + 0.004, False)]
)
def test_the_margin_of_everything_is_the_smaller_one(fall: float, passed: bool) -> None:
    images = 40
    counts = np.stack([np.stack([_table(0.8), _table(0.8 - fall)])] * images)
    strata = judge(counts, _patients(images), _tones(images, 2))
    assert [stratum.not_worse for stratum in strata] == [passed, True, True]
    # All patients are alike: whichever are drawn, the difference is the same.
    assert all(stratum.low == pytest.approx(-fall, abs=1e-12) for stratum in strata)


@pytest.mark.parametrize(
    ("fall", "passed"), [(STRATUM_MARGIN - 0.004, True), (STRATUM_MARGIN + 0.004, False)]
)
def test_few_patients_are_judged_by_the_difference_and_flagged(fall: float, passed: bool) -> None:
    images = 2 * (FEW_PATIENTS - 1) + 60
    groups = [
        {"skin_tone": "rare" if i < 2 * (FEW_PATIENTS - 1) else "usual"} for i in range(images)
    ]
    falls = [fall if group["skin_tone"] == "rare" else 0 for group in groups]
    counts = np.stack([np.stack([_table(0.8), _table(0.8 - one)]) for one in falls])
    strata = _by_name(judge(counts, _patients(images), groups))
    rare, usual = strata["skin_tone: rare"], strata["skin_tone: usual"]
    assert (rare.patients, rare.few, rare.low) == (FEW_PATIENTS - 1, True, None)
    assert rare.difference == pytest.approx(-fall, abs=1e-12)
    assert rare.not_worse is passed
    assert (usual.few, usual.low) == (False, 0)


def test_a_difference_that_is_uncertain_does_not_pass() -> None:
    """As good on average, but by five patients of which one is much worse: not shown no worse."""
    falls = [0.3, -0.08, -0.08, -0.07, -0.07]
    counts = np.stack([np.stack([_table(0.6), _table(0.6 - fall)]) for fall in falls])
    (everything,) = judge(counts, list("ABCDE"), [{}] * 5)
    assert everything.difference == pytest.approx(0, abs=1e-12)
    assert everything.low is not None
    assert everything.low < -OVERALL_MARGIN
    assert not everything.not_worse


def test_the_low_end_is_that_of_all_draws_of_patients() -> None:
    """Against every one of the 5^5 equally likely draws."""
    tables = np.stack([_tables(seed, 2) for seed in range(5)])
    (stratum,) = judge(tables, list("ABCDE"), [{}] * 5)
    draws = np.array(list(product(range(5), repeat=5)))
    dice = pooled_dice(tables[draws].sum(axis=1))
    differences = np.sort(dice[:, 1] - dice[:, 0])
    assert stratum.low is not None
    share = np.searchsorted(differences, stratum.low) / len(differences)
    # The share of so many draws that fall below the true quantile has this standard deviation; ties
    # and the discreteness of the draws are within it.
    assert abs(share - 0.05) < 4 * np.sqrt(0.05 * 0.95 / DRAWS)


@given(st.integers(0, 1000))
def test_neither_order_nor_other_groups_change_a_verdict(seed: int) -> None:
    images = 24
    counts = np.stack([_tables(seed, images), _tables(seed + 1, images)], axis=1)
    patients, groups = _patients(images), _tones(images, 2)
    strata = _by_name(judge(counts, patients, groups))
    order = np.random.default_rng(seed).permutation(images)
    more = [{**groups[i], "view": str(i % 3)} for i in order]
    shuffled = _by_name(judge(counts[order], [patients[i] for i in order], more))
    assert {name: shuffled[name] for name in strata} == strata
    assert set(shuffled) - set(strata) == {"view: 0", "view: 1", "view: 2"}


def test_dice_is_that_of_the_agreement_without_background() -> None:
    for table in _tables(0, 20):
        rows = class_agreement(table, ("background", "a", "b"))
        expected = np.mean([row.dice for row in rows[1:]])
        assert float(pooled_dice(table)) == pytest.approx(expected)


def test_classes_count_that_the_truth_holds() -> None:
    stray = np.array([[50, 0, 1], [0, 10, 0], [0, 0, 0]])
    # A pixel found as a class that is not there costs nothing but what it takes from the others.
    assert float(pooled_dice(stray)) == 1
    assert np.isnan(pooled_dice(np.array([[50, 3, 1], [0, 0, 0], [0, 0, 0]])))


def test_a_group_without_any_class_is_not_judged() -> None:
    empty = np.zeros((N, N), np.int64)
    empty[0] = 9, 1, 0
    counts = np.stack([[empty, empty]] * 6 + [[_table(0.8), _table(0.8)]] * 6)
    groups = [{"view": "bed" if i < 6 else "body"} for i in range(12)]
    strata = judge(counts, [f"P{i % 6}" for i in range(12)], groups)
    bed = _by_name(strata)["view: bed"]
    assert (bed.current, bed.candidate, bed.difference, bed.low, bed.not_worse) == (None,) * 5
    assert gate_document(strata)["passed"]


@pytest.mark.parametrize("shape", [(0, 2, N, N), (4, N, N), (4, 3, N, N), (5, 2, N, N)])
def test_other_shapes_are_a_bug(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="need"):
        judge(np.zeros(shape, np.int64), list("ABCD"), [{}] * 4)
