"""Invariants of the way from cells to percentages on a real body."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.chart.scenes import body_of

from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.fuse import EvidenceMap
from bsa_vision.measures.area import fill_unassessed, measure_area
from bsa_vision.pipeline import chart_facts

CELLS = load_cells()
CHARTS = {
    weighting: chart_facts(body_of(), weighting) for weighting in ("lund-browder", "personal")
}


def evidence(seed: int, unseen: float) -> EvidenceMap:
    """Confluent patches of states round random cells, and patches never seen."""
    rng = np.random.default_rng(seed)
    places = CELLS.centres(body_of().rest.vertices)
    centres = places[rng.choice(len(CELLS), 60)]
    nearest = ((places[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
    states = rng.dirichlet(np.full(5, 0.3), 60).astype(np.float32)
    seen = (rng.random(60) >= unseen)[nearest]
    return EvidenceMap(
        probabilities=states[nearest] * seen[:, None],
        weight=seen.astype(np.float32),
        hidden=~seen & (nearest % 2 == 0),
        replicates=np.zeros((0, len(CELLS), 5), np.float32),
    )


def mirrored(found: EvidenceMap) -> EvidenceMap:
    return EvidenceMap(
        found.probabilities[CELLS.mirror],
        found.weight[CELLS.mirror],
        found.hidden[CELLS.mirror],
        found.replicates,
    )


@pytest.mark.parametrize("weighting", CHARTS)
@given(seed=st.integers(0, 1000), unseen=st.sampled_from([0.0, 0.1, 0.5, 0.9]))
@settings(max_examples=6)
def test_states_and_unseen_skin_sum_to_100(weighting, seed, unseen):
    chart, found = CHARTS[weighting], evidence(seed, unseen)
    filled = fill_unassessed(found, chart, 8.0)
    if filled is None:
        assert not found.assessed.any()
        return
    area = measure_area(found, filled, chart)
    assert area.seen.sum() + area.not_assessed.sum() == pytest.approx(100, abs=1e-4)
    assert area.estimate.sum() == pytest.approx(100, abs=1e-4)
    low, high = area.counted_bounds
    assert 0 <= low <= high <= 100 + 1e-4


@pytest.mark.parametrize("weighting", CHARTS)
@given(seed=st.integers(0, 1000))
@settings(max_examples=6)
def test_mirroring_the_body_mirrors_the_result(weighting, seed):
    chart, found = CHARTS[weighting], evidence(seed, 0.2)
    here, there = (
        measure_area(one, fill_unassessed(one, chart, 8.0), chart)
        for one in (found, mirrored(found))
    )
    names = [(row.region, row.side) for row in chart.rows]
    swap = {"left": "right", "right": "left"}
    opposite = [names.index((region, swap.get(side, side))) for region, side in names]
    # Opposite cells differ in area by the rounding of the body asset, under 0.1 %.
    np.testing.assert_allclose(there.seen[opposite], here.seen, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(there.estimate[opposite], here.estimate, rtol=5e-3, atol=5e-3)
