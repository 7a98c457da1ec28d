import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsa_vision.measures.area import fill_unassessed, measure_area
from bsa_vision.measures.records import ChartFacts, VisitEvidence

FILL_LENGTH_CM = 8.0

seeds = st.integers(0, 2**32 - 1)
shares = st.floats(0.02, 1.0)


def patchy(tube, seed, share_assessed):
    """Random lesions and a random set of assessed cells (at least one)."""
    rng = np.random.default_rng(seed)
    states = np.zeros(tube.chart.n_cells, dtype=int)
    for _ in range(6):
        distance = np.linalg.norm(tube.centres - tube.centres[rng.integers(len(states))], axis=1)
        states[distance < rng.uniform(2, 15)] = rng.integers(5)
    assessed = rng.random(len(states)) < share_assessed
    assessed[rng.integers(len(states))] = True
    return states, assessed


@given(seed=seeds, share=shares)
@settings(max_examples=25, deadline=None)
def test_seen_and_not_assessed_make_100_and_so_does_the_estimate(tube, observe, seed, share):
    states, assessed = patchy(tube, seed, share)
    hidden = np.random.default_rng(seed).random(len(states)) < 0.3
    evidence = observe(states, assessed, hidden)
    area = measure_area(evidence, fill_unassessed(evidence, tube.chart, FILL_LENGTH_CM), tube.chart)
    # 2000 float64 cells: rounding stays far below 1e-9.
    assert area.seen.sum() + area.never_seen.sum() + area.hidden.sum() == pytest.approx(
        100, abs=1e-9
    )
    assert area.estimate.sum() == pytest.approx(100, abs=1e-9)
    assert area.estimate.min() >= 0


@given(seed=seeds, share=shares)
@settings(max_examples=25, deadline=None)
def test_the_estimate_lies_within_the_bounds(tube, observe, seed, share):
    evidence = observe(*patchy(tube, seed, share))
    area = measure_area(evidence, fill_unassessed(evidence, tube.chart, FILL_LENGTH_CM), tube.chart)
    healthy, affected = area.counted_bounds
    counted = area.estimate[:, 2:4].sum()
    assert healthy - 1e-9 <= counted <= affected + 1e-9


@given(seed=seeds, share=shares)
@settings(max_examples=15, deadline=None)
def test_filling_commutes_with_the_mirror(tube, observe, seed, share):
    states, assessed = patchy(tube, seed, share)
    here = fill_unassessed(observe(states, assessed), tube.chart, FILL_LENGTH_CM)
    there = fill_unassessed(
        observe(states[tube.mirror], assessed[tube.mirror]), tube.chart, FILL_LENGTH_CM
    )
    np.testing.assert_allclose(there.shares, here.shares[tube.mirror], atol=1e-9)


def test_what_was_seen_is_never_changed(tube, observe):
    states, assessed = patchy(tube, 5, 0.5)
    evidence = observe(states, assessed)
    filled = fill_unassessed(evidence, tube.chart, FILL_LENGTH_CM)
    np.testing.assert_array_equal(filled.shares[assessed], evidence.probabilities[assessed])
    assert (filled.anchoring[assessed] == 1).all()


def test_a_gap_between_two_rings_is_filled_in_proportion(build_tube, observe):
    # Round the tube all columns are alike, so the graph is a chain of half rows. The two halves of
    # a row share two edges per cell (their diagonal and the upright), rows are joined by one: as
    # resistors these are 1/2 and 1, and the harmonic fill is linear along them.
    around, along = 8, 12
    tube = build_tube(around=around, along=along, mirrored=False)
    cells = np.arange(tube.chart.n_cells)
    row, half = cells // 2 % along, cells % 2
    assessed = ((row == 0) & (half == 0)) | ((row == along - 1) & (half == 1))
    states = np.where(row == 0, 0, 3)
    filled = fill_unassessed(observe(states, assessed), tube.chart, fill_length_cm=1e6)
    along_chain = 1.5 * row + 0.5 * half
    expected = along_chain / along_chain.max()
    np.testing.assert_allclose(filled.shares[:, 3], expected, atol=1e-6)
    np.testing.assert_allclose(filled.shares[:, 0], 1 - expected, atol=1e-6)


def test_far_from_seen_skin_the_fill_is_the_mean_of_what_was_seen(tube, observe):
    states = np.zeros(tube.chart.n_cells, dtype=int)
    top = tube.centres[:, 1] < 12
    states[top & (tube.centres[:, 1] > 8)] = 3
    evidence = observe(states, top)
    filled = fill_unassessed(evidence, tube.chart, fill_length_cm=2.0)
    mean = (states[top] == 3).mean()
    # The bottom lies over 90 cm, 45 decay lengths, from the rim.
    lowest = tube.centres[:, 1].argmax()
    assert filled.shares[lowest, 3] == pytest.approx(mean, abs=1e-9)
    assert filled.anchoring[lowest] == pytest.approx(0, abs=1e-9)


def test_the_fill_decays_over_the_set_length(build_tube, observe):
    tube = build_tube(around=8, along=300, mirrored=False)
    height = tube.centres[:, 1]
    filled = fill_unassessed(
        observe(np.zeros(len(height), dtype=int), height < 2), tube.chart, fill_length_cm=20.0
    )
    # The chain of half rows again: a pitch p holds resistance 1.5 and pulls of 2 K, so that
    # p^2 / 1.5 u'' = 2 K u; with p^2 = 2 a and K = a / (sqrt(3) L^2) the decay length is
    # L sqrt(2 / sqrt(3)). Equilateral triangles would give L itself.
    far, near = np.abs(height - 120).argmin(), np.abs(height - 60).argmin()
    measured = (height[far] - height[near]) / np.log(filled.anchoring[near] / filled.anchoring[far])
    assert measured == pytest.approx(20.0 * np.sqrt(2 / np.sqrt(3)), rel=0.01)


def test_without_any_assessed_cell_there_is_nothing_to_fill_from(tube, observe):
    nothing = np.zeros(tube.chart.n_cells, dtype=bool)
    evidence = observe(np.zeros(tube.chart.n_cells, dtype=int), nothing)
    assert fill_unassessed(evidence, tube.chart, FILL_LENGTH_CM) is None


def test_rows_are_regions_by_side(tube):
    names = [(row.region, row.side) for row in tube.chart.rows]
    assert names == [
        ("head", ""),
        ("trunk", ""),
        ("thigh", "right"),
        ("thigh", "left"),
        ("lower leg", "right"),
        ("lower leg", "left"),
    ]
    np.testing.assert_allclose(
        tube.chart.row_sums(tube.chart.weights), [25, 25, 12.5, 12.5, 12.5, 12.5]
    )


def test_records_refuse_what_does_not_fit(tube, observe):
    chart = tube.chart
    with pytest.raises(ValueError, match="sum to 100"):
        ChartFacts(chart.weights * 2, chart.areas_cm2, chart.row, chart.rows, chart.edges)
    with pytest.raises(ValueError, match="one weight, area and row"):
        ChartFacts(chart.weights, chart.areas_cm2[:-1], chart.row, chart.rows, chart.edges)
    states, everywhere = np.zeros(chart.n_cells, dtype=int), np.ones(chart.n_cells, dtype=bool)
    with pytest.raises(ValueError, match="model share"):
        VisitEvidence(0, observe(states, everywhere, model_share=1.5))
