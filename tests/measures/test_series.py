import numpy as np
import pytest

from bsa_vision.measures.records import VisitEvidence
from bsa_vision.measures.series import measure_series
from bsa_vision.measures.settings import IntervalSettings, MeasureSettings

SETTINGS = MeasureSettings(intervals=IntervalSettings(draws=50))


def everything(tube):
    return np.ones(tube.chart.n_cells, dtype=bool)


def nothing(tube):
    return np.zeros(tube.chart.n_cells, dtype=bool)


def test_a_visit_without_assessed_skin_gives_no_number_but_reasons(tube, observe):
    hidden = tube.chart.row == 0
    states = np.zeros(tube.chart.n_cells, dtype=int)
    empty = VisitEvidence(5, observe(states, nothing(tube), hidden))
    full = VisitEvidence(0, observe(states + 3, everything(tube)))
    series = measure_series([full, empty], tube.chart, SETTINGS)
    visit = series.visits[1]
    assert all(estimate.percent is None for estimate in visit.estimates.values())
    assert all(estimate.reason for estimate in visit.estimates.values())
    assert visit.severity.reason
    assert visit.rate.estimate.reason
    assert visit.bounds == (0.0, 100.0)
    assert visit.hidden_percent == pytest.approx(25)
    assert visit.not_assessed_percent == pytest.approx(100)
    assert visit.flags == ("nothing_assessed",)
    assert series.maximum.day == 0


def test_regions_add_up_to_the_visit(tube, observe):
    states = np.arange(tube.chart.n_cells) % 5
    assessed = np.arange(tube.chart.n_cells) % 7 > 0
    visit = measure_series(
        [VisitEvidence(0, observe(states, assessed))], tube.chart, SETTINGS
    ).visits[0]
    for name, estimate in visit.estimates.items():
        parts = sum(region.estimates[name].percent for region in visit.regions)
        assert parts == pytest.approx(estimate.percent, abs=1e-9)
    missing = sum(region.not_assessed_percent for region in visit.regions)
    assert missing == pytest.approx(visit.filled_percent, abs=1e-9)
    assert sum(region.bsa_percent for region in visit.regions) == pytest.approx(100, abs=1e-9)


def test_the_mirror_image_swaps_the_sides(tube, observe):
    states = (tube.centres[:, 0] < 30).astype(int) * 3
    assessed = tube.centres[:, 1] < 80
    here, there = (
        measure_series(
            [VisitEvidence(0, observe(states[order], assessed[order], model_share=0.0))],
            tube.chart,
            SETTINGS,
        ).visits[0]
        for order in (np.arange(tube.chart.n_cells), tube.mirror)
    )
    swapped = {"left": "right", "right": "left", "": ""}
    mirrored = {
        (region.where.region, swapped[region.where.side]): region for region in there.regions
    }
    for region in here.regions:
        other = mirrored[region.where.region, region.where.side]
        for name, estimate in region.estimates.items():
            assert other.estimates[name].percent == pytest.approx(estimate.percent, abs=1e-9)


def test_mostly_filled_is_flagged(tube, observe):
    states = np.full(tube.chart.n_cells, 3)
    upper_third = np.arange(tube.chart.n_cells) < tube.chart.n_cells * 0.4
    series = measure_series([VisitEvidence(0, observe(states, upper_third))], tube.chart, SETTINGS)
    visit = series.visits[0]
    assert visit.flags == series.maximum.flags == ("mostly_filled",)
    assert "mostly_filled" in visit.rate.flags
    assert visit.filled_percent == pytest.approx(60, abs=1)
    assert visit.bounds == pytest.approx((40, 100), abs=1)


def test_a_close_up_does_not_speak_for_the_body(tube, observe):
    """A lesion that was photographed alone is neither extrapolated nor taken as the maximum."""
    states = np.full(tube.chart.n_cells, 3)
    close_up = VisitEvidence(2, observe(states, np.arange(tube.chart.n_cells) < 20))
    whole = VisitEvidence(0, observe(np.where(tube.chart.row == 0, 3, 0), everything(tube)))
    series = measure_series([whole, close_up], tube.chart, SETTINGS)
    visit = series.visits[1]
    assert visit.flags == ("sparsely_seen",)
    assert all(estimate.percent is None for estimate in visit.estimates.values())
    assert "needed 25 %" in visit.estimates["counted_bsa"].reason
    assert visit.severity.severity is None
    assert visit.rate.estimate.percent is None
    assert visit.seen_percent["detached"] > 0
    assert visit.bounds[1] == pytest.approx(100)
    assert series.maximum.day == 0
    assert series.maximum.estimate.percent == pytest.approx(25)
    assert all(
        region.estimates["detached"].reason
        for region in visit.regions
        if region.not_assessed_percent > 0.76 * region.bsa_percent
    )


def test_running_maximum_never_falls(tube, observe):
    n = tube.chart.n_cells
    visits = []
    for day, share in ((0, 0.2), (5, 0.5), (7, 0.3)):
        states = np.where(np.arange(n) < share * n, 3, 0)
        visits.append(VisitEvidence(day, observe(states, everything(tube), model_share=0.0)))
    running = [v.running_maximum for v in measure_series(visits, tube.chart, SETTINGS).visits]
    assert running == pytest.approx([20, 50, 50], abs=0.1)


def test_two_visits_on_one_day_are_refused(tube, observe):
    visit = VisitEvidence(0, observe(np.zeros(tube.chart.n_cells, int), everything(tube)))
    with pytest.raises(ValueError, match="one visit per day"):
        measure_series([visit, visit], tube.chart, SETTINGS)


def test_evidence_of_another_chart_is_refused(tube, build_tube, observe):
    other = build_tube(around=4, along=4)
    visit = VisitEvidence(0, observe(np.zeros(other.chart.n_cells, int), everything(other)))
    with pytest.raises(ValueError, match="cells"):
        measure_series([visit], tube.chart, SETTINGS)


def test_a_series_without_visits_says_so_everywhere(tube):
    series = measure_series([], tube.chart, SETTINGS)
    assert series.visits == ()
    assert series.maximum.estimate.reason
    assert all(rate.estimate.reason for rate in series.rates.values())
    assert series.responder[0].responder is None
