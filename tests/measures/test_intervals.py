from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsa_vision.measures.area import fill_unassessed, measure_area
from bsa_vision.measures.intervals import LIKENESS, PAIRS, draw_series, sample_visit
from bsa_vision.measures.records import VisitEvidence
from bsa_vision.measures.series import measure_series
from bsa_vision.measures.settings import IntervalSettings, MeasureSettings

#: Only what a test switches on is uncertain.
CERTAIN = IntervalSettings(
    unseen_logit_sd=0,
    model_confusion_sd=0,
    given_confusion_sd=0,
    model_border_sd=0,
    given_border_sd=0,
    row_area_log_sd=0,
    patch_area_log_sd=0,
)


def lesions(tube, seed=0):
    """Discs of every state, a few to a dozen centimetres wide."""
    rng = np.random.default_rng(seed)
    states = np.zeros(tube.chart.n_cells, dtype=int)
    for k in range(16):
        distance = np.linalg.norm(tube.centres - tube.centres[rng.integers(len(states))], axis=1)
        states[distance < rng.uniform(4, 14)] = 1 + k % 4
    return states


def all_seen(tube):
    return np.ones(tube.chart.n_cells, dtype=bool)


def measure(tube, evidence, interval_settings, day=0):
    visit = VisitEvidence(day, evidence)
    chosen = MeasureSettings(intervals=interval_settings)
    return measure_series([visit], tube.chart, chosen).visits[0]


def width(estimate):
    return estimate.high - estimate.low


def test_without_uncertainty_the_interval_is_the_estimate(tube, observe):
    visit = measure(tube, observe(lesions(tube), all_seen(tube)), CERTAIN)
    for estimate in visit.estimates.values():
        assert estimate.low == pytest.approx(estimate.percent, abs=1e-9)
        assert estimate.high == pytest.approx(estimate.percent, abs=1e-9)


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.05, 1.0), model=st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_every_draw_is_a_whole_body(tube, observe, seed, share, model):
    assessed = np.random.default_rng(seed).random(tube.chart.n_cells) < share
    assessed[0] = True
    visit = VisitEvidence(3, observe(lesions(tube, seed), assessed, model_share=model))
    chosen = IntervalSettings(draws=30, seed=seed)
    filled = fill_unassessed(visit.evidence, tube.chart, chosen.fill_length_cm)
    area = measure_area(visit.evidence, filled, tube.chart)
    series = draw_series(len(tube.chart.rows), chosen)
    draws = sample_visit(visit, filled, area, chart=tube.chart, series=series, settings=chosen)
    assert draws.shape == (30, len(tube.chart.rows), 5)
    assert draws.min() >= 0
    np.testing.assert_allclose(draws.sum(axis=(1, 2)), 100, atol=1e-9)


def test_the_interval_holds_its_estimate(tube, observe):
    assessed = tube.centres[:, 1] < tube.centres[:, 1].max() * 0.7
    visit = measure(tube, observe(lesions(tube), assessed), IntervalSettings())
    regions = [estimate for region in visit.regions for estimate in region.estimates.values()]
    for estimate in [*visit.estimates.values(), *regions]:
        assert 0 <= estimate.low <= estimate.percent <= estimate.high <= 100


def test_the_more_is_unseen_the_wider(tube, observe):
    height = tube.centres[:, 1] / tube.centres[:, 1].max()
    widths = [
        width(
            measure(
                tube, observe(lesions(tube), height < seen), replace(CERTAIN, unseen_logit_sd=0.7)
            ).estimates["counted_bsa"]
        )
        for seen in (1.1, 0.9, 0.7, 0.4)
    ]
    assert widths == sorted(widths)
    assert widths[0] == pytest.approx(0, abs=1e-9)
    assert widths[-1] > widths[1]


def test_unseen_skin_beyond_seen_healthy_skin_is_not_certainly_healthy(tube, observe):
    height = tube.centres[:, 1] / tube.centres[:, 1].max()
    healthy = np.zeros(tube.chart.n_cells, dtype=int)
    visit = measure(tube, observe(healthy, height < 0.5), IntervalSettings())
    assert visit.estimates["counted_bsa"].percent == pytest.approx(0, abs=1e-9)
    assert visit.estimates["counted_bsa"].high > 0.1


def test_drawn_masks_are_surer_than_the_networks(tube, observe):
    widths = []
    for model_share in (0.0, 0.5, 1.0):
        evidence = observe(lesions(tube), all_seen(tube), model_share=model_share)
        visit = measure(tube, evidence, IntervalSettings())
        widths.append(width(visit.estimates["counted_bsa"]))
    assert widths[0] < widths[1] < widths[2]


def test_placement_errors_reach_the_interval_at_their_size(tube, observe):
    # Two replicates move 1 % of BSA from unaffected to detached and back. Their Gaussian mix has a
    # standard deviation of 1 %, so that the 90 % interval reaches 1.645 % either way.
    states = np.zeros(tube.chart.n_cells, dtype=int)
    states[: len(states) // 5] = 3
    one_percent = round(len(states) / 100)
    more, less = states.copy(), states.copy()
    more[len(states) // 5 :][:one_percent] = 3
    less[: len(states) // 5][:one_percent] = 0
    moved = 100 * one_percent / len(states)
    replicates = np.stack([np.eye(5, dtype=np.float32)[other] for other in (more, less)])
    evidence = observe(states, all_seen(tube), None, replicates)
    draws = 4000
    detached = measure(tube, evidence, replace(CERTAIN, draws=draws)).estimates["detached"]
    # The 5 % quantile of 4000 normals has a standard error of sqrt(0.05 x 0.95 / 4000) / 0.103
    # = 0.033 standard deviations; four of them.
    assert detached.high - detached.percent == pytest.approx(1.645 * moved, abs=0.14)
    assert detached.percent - detached.low == pytest.approx(1.645 * moved, abs=0.14)


def test_row_errors_change_sizes_but_not_what_fills_the_whole_body(tube, observe):
    everywhere = np.full(tube.chart.n_cells, 3)
    wide = replace(CERTAIN, row_area_log_sd=0.2)
    whole = measure(tube, observe(everywhere, all_seen(tube)), wide).estimates["detached"]
    assert width(whole) == pytest.approx(0, abs=1e-9)
    head_only = np.where(tube.chart.row == 0, 3, 0)
    part = measure(tube, observe(head_only, all_seen(tube)), wide).estimates["detached"]
    assert width(part) > 1


def test_one_visit_does_not_depend_on_the_others(tube, observe):
    chosen = MeasureSettings()
    visits = [VisitEvidence(day, observe(lesions(tube, day), all_seen(tube))) for day in (0, 5, 7)]
    forward = measure_series(visits, tube.chart, chosen)
    backward = measure_series(visits[::-1], tube.chart, chosen)
    alone = measure_series(visits[1:2], tube.chart, chosen)
    assert forward == backward
    assert alone.visits[0].estimates == forward.visits[1].estimates


def test_the_seed_decides(tube, observe):
    evidence = observe(lesions(tube), all_seen(tube))
    first = measure(tube, evidence, IntervalSettings(seed=1))
    again = measure(tube, evidence, IntervalSettings(seed=1))
    other = measure(tube, evidence, IntervalSettings(seed=2))
    assert first.estimates == again.estimates
    assert first.estimates != other.estimates
    assert first.estimates["detached"].percent == other.estimates["detached"].percent


def test_every_pair_of_states_has_a_likeness():
    assert len(PAIRS) == len(LIKENESS) == 10
    assert (LIKENESS > 0).all()
    assert (LIKENESS <= 1).all()


def test_settings_refuse_too_few_draws():
    with pytest.raises(ValueError, match="20 draws"):
        IntervalSettings(draws=5)


@pytest.mark.slow
def test_intervals_for_unseen_skin_cover_the_truth(build_tube, observe):
    """Random lesions, random holes of 3 to 15 cm: how often does the interval hold the truth?"""
    tube = build_tube(around=60, along=60, cell_cm2=2.5)
    covered, series = 0, 60
    for seed in range(series):
        rng = np.random.default_rng(seed)
        states = np.zeros(tube.chart.n_cells, dtype=int)
        assessed = all_seen(tube)
        for _ in range(rng.integers(4, 40)):
            centre = tube.centres[rng.integers(len(states))]
            distance = np.linalg.norm(tube.centres - centre, axis=1)
            radius = rng.lognormal(np.log(6), 0.5)
            states[(distance < 1.4 * radius) & (states == 0)] = 1
            states[distance < radius] = rng.integers(2, 5)
        while assessed.mean() > 0.8:
            centre = tube.centres[rng.integers(len(states))]
            assessed &= np.linalg.norm(tube.centres - centre, axis=1) > rng.uniform(3, 15)
        unseen_only = replace(CERTAIN, unseen_logit_sd=IntervalSettings().unseen_logit_sd)
        estimate = measure(tube, observe(states, assessed), unseen_only).estimates["counted_bsa"]
        truth = 100 * np.isin(states, (2, 3)).mean()
        covered += estimate.low <= truth <= estimate.high
    # At a true coverage of 90 %, fewer than 46 of 60 would be seen once in 1500 times.
    assert covered >= 46
