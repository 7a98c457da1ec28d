"""Published tables and test vectors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsa_vision.measures.scores import (
    Abcd10Items,
    ScortenItems,
    clopper_pearson,
    score_abcd10,
    score_scorten,
    scorten_mortality,
    standardised_mortality_ratio,
)

NOTHING = ScortenItems(
    age_years=30,
    malignancy=False,
    heart_rate_per_min=80,
    counted_bsa_percent=5,
    urea_mmol_l=5,
    bicarbonate_mmol_l=24,
    glucose_mmol_l=6,
)
EVERYTHING = ScortenItems(
    age_years=70,
    malignancy=True,
    heart_rate_per_min=130,
    counted_bsa_percent=40,
    bun_mg_dl=30,
    bicarbonate_mmol_l=15,
    glucose_mg_dl=300,
)
ON_THE_BORDERS = ScortenItems(
    age_years=40,
    malignancy=False,
    heart_rate_per_min=120,
    counted_bsa_percent=10,
    urea_mmol_l=10,
    bicarbonate_mmol_l=20,
    glucose_mmol_l=14,
)


def test_scorten_from_none_to_all_seven_items():
    assert score_scorten(NOTHING).value == 0
    assert score_scorten(EVERYTHING).value == 7


def test_values_on_the_borders_depend_on_the_rule():
    assert score_scorten(ON_THE_BORDERS).value == 0
    inclusive = score_scorten(ON_THE_BORDERS, "scorten-inclusive/1")
    assert (inclusive.value, inclusive.rule) == (6, "scorten-inclusive/1")


def test_missing_items_make_a_range():
    score = score_scorten(ScortenItems(age_years=70, malignancy=False, heart_rate_per_min=130))
    assert (score.low, score.high, score.value) == (2, 6, None)
    assert score.missing == (
        "counted_bsa_percent",
        "urea_mmol_l",
        "bicarbonate_mmol_l",
        "glucose_mmol_l",
    )


def test_either_unit_serves():
    assert score_scorten(ScortenItems(bun_mg_dl=28.5)).low == 1
    assert score_scorten(ScortenItems(bun_mg_dl=28.0)).low == 0
    assert score_scorten(ScortenItems(glucose_mg_dl=253)).low == 1
    assert "urea_mmol_l" not in score_scorten(ScortenItems(bun_mg_dl=28.0)).missing


def test_published_mortality():
    found = [scorten_mortality(score, "scorten-published/1") for score in range(8)]
    assert found == [3.2, 3.2, 12.1, 35.3, 58.3, 90.0, 90.0, 90.0]


def test_logistic_mortality():
    found = [scorten_mortality(score, "scorten-logistic/1") for score in range(8)]
    # The table is printed to one decimal.
    assert found == pytest.approx([1.2, 3.9, 12.2, 32.4, 62.2, 85.0, 95.1, 98.5], abs=0.05)


def test_mortality_refuses_other_scores_and_sets():
    with pytest.raises(ValueError, match=r"score in 0\.\.7"):
        scorten_mortality(8, "scorten-published/1")
    with pytest.raises(ValueError, match="got 3"):
        scorten_mortality(3, "guess")


def test_abcd10_weights():
    items = Abcd10Items(
        age_years=50,
        bicarbonate_mmol_l=19,
        active_cancer=True,
        dialysis_before_admission=True,
        counted_bsa_percent=10,
    )
    assert score_abcd10(items).value == 8
    assert score_abcd10(Abcd10Items(dialysis_before_admission=True)).low == 3
    partly = score_abcd10(Abcd10Items(49, 20, active_cancer=False, counted_bsa_percent=9.9))
    assert (partly.low, partly.high, partly.missing) == (0, 3, ("dialysis_before_admission",))


def test_standardised_mortality_ratio_without_deaths():
    ratio = standardised_mortality_ratio(0, [0.5, 0.5, 0.75, 1.0])
    assert (ratio.value, ratio.low) == (0, 0)
    # Published to two decimals.
    assert ratio.high == pytest.approx(1.34, abs=0.005)


def test_standardised_mortality_ratio_refuses_nothing_expected():
    with pytest.raises(ValueError, match="expected > 0"):
        standardised_mortality_ratio(1, [])


@pytest.mark.parametrize(
    ("successes", "low", "high"),
    [(0, 0.0, 21.8), (8, 26.6, 78.7), (12, 51.9, 95.7), (15, 78.2, 100.0)],
)
def test_clopper_pearson_of_15(successes, low, high):
    limits = clopper_pearson(successes, 15)
    # The table is printed to one decimal of a percent.
    assert 100 * limits.low == pytest.approx(low, abs=0.05)
    assert 100 * limits.high == pytest.approx(high, abs=0.05)


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_clopper_pearson_is_symmetric_and_holds_its_value(counts):
    successes, trials = counts
    limits = clopper_pearson(successes, trials)
    other = clopper_pearson(trials - successes, trials)
    assert limits.low <= limits.value <= limits.high
    assert limits.low == pytest.approx(1 - other.high, abs=1e-9)


def test_clopper_pearson_refuses_impossible_counts():
    with pytest.raises(ValueError, match="16 of 15"):
        clopper_pearson(16, 15)
