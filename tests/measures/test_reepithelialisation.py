import numpy as np
import pytest

from bsa_vision.measures.records import VisitEvidence
from bsa_vision.measures.reepithelialisation import (
    VisitTotals,
    call_responder,
    find_maximum,
    measure_rate,
)
from bsa_vision.measures.series import measure_series
from bsa_vision.measures.settings import EndpointSettings, MeasureSettings

QUANTILES = (0.05, 0.95)
SETTINGS = EndpointSettings()


def totals(day, counted, healed, spread=0.0):
    """A visit with half of `counted` detached; all draws scaled alike by 1 +- spread."""
    percent = np.array([100 - counted - healed, 0, counted / 2, counted / 2, healed], dtype=float)
    scale = 1 + spread * np.linspace(-1, 1, 201)
    return VisitTotals(day, percent, percent * scale[:, None])


def test_the_maximum_is_over_single_visits():
    course = [totals(0, 20, 0), totals(5, 34, 1), totals(7, 25, 10), totals(15, 1, 33)]
    maximum = find_maximum(course, SETTINGS, QUANTILES)
    assert (maximum.estimate.percent, maximum.day, maximum.status) == (34, 5, "locked")


def test_the_first_of_equal_visits_is_the_maximum():
    maximum = find_maximum([totals(5, 20, 0), totals(0, 20, 0)], SETTINGS, QUANTILES)
    assert maximum.day == 0


def test_the_maximum_is_provisional_until_the_last_planned_visit():
    course = [totals(0, 20, 0), totals(5, 34, 1)]
    maximum = find_maximum(course, SETTINGS, QUANTILES)
    rate = measure_rate(5, course, maximum, SETTINGS, QUANTILES)
    assert maximum.status == rate.status == "provisional"
    assert "provisional" in rate.flags


def test_a_locked_maximum_stays_whatever_comes_later():
    course = [totals(0, 20, 0), totals(15, 2, 18), totals(28, 36, 0)]
    maximum = find_maximum(course, SETTINGS, QUANTILES)
    assert (maximum.estimate.percent, maximum.day, maximum.status) == (20, 0, "locked")
    assert measure_rate(15, course, maximum, SETTINGS, QUANTILES).uncapped == pytest.approx(90)
    assert measure_rate(28, course, maximum, SETTINGS, QUANTILES).estimate.percent == 0


def test_death_locks_the_maximum():
    course = [totals(0, 20, 0), totals(5, 25, 0)]
    assert find_maximum(course, SETTINGS, QUANTILES).status == "provisional"
    assert find_maximum(course, SETTINGS, QUANTILES, death_day=9).status == "locked"


def test_traces_of_counted_skin_are_no_maximum_to_divide_by():
    course = [totals(0, 0.02, 0), totals(7, 0, 0.03)]
    maximum = find_maximum(course, SETTINGS, QUANTILES)
    rate = measure_rate(7, course, maximum, SETTINGS, QUANTILES)
    assert rate.estimate.percent is None
    assert "0.02 %" in rate.estimate.reason
    assert "0.02 %" in rate.at_visit_reason
    assert call_responder(rate, SETTINGS, None)[0].responder is None


def test_rate_against_the_maximum_of_all_visits_and_as_it_stood_that_day():
    course = [totals(0, 20, 0), totals(5, 25, 5), totals(10, 40, 10), totals(15, 4, 30)]
    maximum = find_maximum(course, SETTINGS, QUANTILES)
    day5 = measure_rate(5, course, maximum, SETTINGS, QUANTILES)
    assert day5.estimate.percent == pytest.approx(100 * 5 / 40)
    assert day5.at_visit == pytest.approx(100 * 5 / 25)


def test_a_rate_above_100_is_capped_and_says_so():
    course = [totals(0, 30, 0), totals(15, 0, 36)]
    rate = measure_rate(15, course, find_maximum(course, SETTINGS, QUANTILES), SETTINGS, QUANTILES)
    assert rate.estimate.percent == 100
    assert rate.uncapped == pytest.approx(120)
    assert "capped" in rate.flags
    assert rate.estimate.high <= 100


def test_errors_shared_by_numerator_and_maximum_cancel():
    course = [totals(0, 30, 0, spread=0.2), totals(15, 2, 15, spread=0.2)]
    rate = measure_rate(15, course, find_maximum(course, SETTINGS, QUANTILES), SETTINGS, QUANTILES)
    assert rate.estimate.low == pytest.approx(50)
    assert rate.estimate.high == pytest.approx(50)


def test_no_rate_without_a_visit_or_without_counted_skin():
    course = [totals(0, 0, 0)]
    maximum = find_maximum(course, SETTINGS, QUANTILES)
    assert measure_rate(0, course, maximum, SETTINGS, QUANTILES).estimate.percent is None
    assert "no detached" in measure_rate(0, course, maximum, SETTINGS, QUANTILES).estimate.reason
    assert "day 5" in measure_rate(5, course, maximum, SETTINGS, QUANTILES).estimate.reason
    assert "no detached" in measure_rate(0, course, maximum, SETTINGS, QUANTILES).at_visit_reason
    nothing = find_maximum([], SETTINGS, QUANTILES)
    assert nothing.estimate.percent is None
    assert nothing.estimate.reason


def test_no_rate_at_a_visit_before_the_first_counted_skin():
    course = [totals(0, 0, 0), totals(5, 30, 0)]
    first = measure_rate(0, course, find_maximum(course, SETTINGS, QUANTILES), SETTINGS, QUANTILES)
    assert first.estimate.percent == 0
    assert first.at_visit is None
    assert "up to day 0" in first.at_visit_reason


def responder(healed, spread, death_day=None):
    course = [totals(0, 30, 0), totals(7, 1, healed, spread)]
    maximum = find_maximum(course, SETTINGS, QUANTILES)
    return call_responder(
        measure_rate(7, course, maximum, SETTINGS, QUANTILES), SETTINGS, death_day
    )


def test_responder_at_the_cut_off_and_those_beside_it():
    calls = responder(healed=28, spread=0.0)  # 93.3 %
    assert [(call.cut_off, call.responder) for call in calls] == [
        (90, True),
        (95, False),
        (100, False),
    ]
    assert not any(call.straddles for call in calls)


def test_a_rate_at_the_cut_off_responds():
    assert responder(healed=27, spread=0.0)[0].responder is True


def test_an_interval_across_the_cut_off_is_flagged():
    # 93.3 % with draws from 84 % to 100 % (capped).
    calls = responder(healed=28, spread=0.1)
    assert [call.straddles for call in calls] == [True, True, True]
    assert [call.straddles for call in responder(healed=20, spread=0.1)] == [False, False, False]


def test_death_before_day_7_is_a_non_responder_and_later_death_is_not():
    calls = responder(healed=30, spread=0.0, death_day=6)
    assert all(call.responder is False for call in calls)
    assert "died on day 6" in calls[0].reason
    assert responder(healed=30, spread=0.0, death_day=7)[0].responder is True


def test_without_a_day_7_visit_nobody_can_say():
    course = [totals(0, 30, 0)]
    maximum = find_maximum(course, SETTINGS, QUANTILES)
    call = call_responder(measure_rate(7, course, maximum, SETTINGS, QUANTILES), SETTINGS, None)[0]
    assert call.responder is None
    assert "day 7" in call.reason


def test_new_detachment_is_unknown_where_no_skin_was_seen_twice(tube, observe):
    front = np.arange(tube.chart.n_cells) % 2 == 0
    states = np.where(front, 0, 3)
    visits = [
        VisitEvidence(day, observe(states, seen, model_share=0.0))
        for day, seen in ((0, front), (5, ~front))
    ]
    new = measure_series(visits, tube.chart, MeasureSettings()).visits[1].new_detachment
    assert new.percent is None
    assert "day 0 and on day 5" in new.reason


def new_detachment_series(tube, observe, unseen_at_d0=None):
    """D0: cells 0-99 detached, 100-199 red. D5: 50-249. D7: only 230-259."""
    n = tube.chart.n_cells
    start, middle, end = (np.zeros(n, dtype=int) for _ in range(3))
    start[:100], start[100:200] = 3, 1
    middle[50:250] = 2
    end[230:260] = 3
    seen = np.ones(n, dtype=bool)
    first_seen = seen.copy()
    first_seen[unseen_at_d0 if unseen_at_d0 is not None else []] = False
    visits = [
        VisitEvidence(0, observe(start, first_seen, model_share=0.0)),
        VisitEvidence(5, observe(middle, seen, model_share=0.0)),
        VisitEvidence(7, observe(end, seen, model_share=0.0)),
    ]
    return {v.day: v for v in measure_series(visits, tube.chart, MeasureSettings()).visits}


def test_new_detachment_is_skin_intact_at_day_0(tube, observe):
    cell = 100 / tube.chart.n_cells
    visits = new_detachment_series(tube, observe)
    assert visits[0].new_detachment is None
    assert visits[5].new_detachment.percent == pytest.approx(150 * cell)
    assert visits[7].new_detachment.percent == pytest.approx(30 * cell)
    assert visits[7].new_detachment.cumulative_percent == pytest.approx(160 * cell)
    assert visits[7].new_detachment.comparable_percent == pytest.approx(100)


def test_skin_not_assessed_at_day_0_is_not_new(tube, observe):
    cell = 100 / tube.chart.n_cells
    visits = new_detachment_series(tube, observe, unseen_at_d0=np.arange(200, 230))
    assert visits[5].new_detachment.percent == pytest.approx(120 * cell)
    assert visits[5].new_detachment.comparable_percent == pytest.approx(100 - 30 * cell)


def test_new_detachment_needs_a_visit_on_day_0(tube, observe):
    everything = np.ones(tube.chart.n_cells, dtype=bool)
    evidence = observe(np.full(tube.chart.n_cells, 3), everything)
    series = measure_series([VisitEvidence(5, evidence)], tube.chart, MeasureSettings())
    assert series.visits[0].new_detachment.percent is None
    assert "day 0" in series.visits[0].new_detachment.reason
