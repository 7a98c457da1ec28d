"""Invariants of fusion over arbitrary evidence."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bsa_vision.chart.fuse import EvidenceMap, fuse
from bsa_vision.chart.gather import PhotoEvidence

N_CELLS, N_STATES, REPLICATES = 40, 5, 2


@st.composite
def photos(draw) -> PhotoEvidence:
    """A photo that sees some of the cells, in part as skin, in part as dressing."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(0, N_CELLS))
    cells = np.sort(rng.choice(N_CELLS, count, replace=False))
    skin = rng.choice([0.0, 0.2, 0.7, 1.0], count)
    states = rng.dirichlet(np.full(N_STATES, 0.3), count) * skin[:, None]
    replicates = rng.dirichlet(np.full(N_STATES, 0.3), (REPLICATES, count))
    return PhotoEvidence(
        cells=cells,
        at=np.zeros((count, 2), np.float32),
        mm_per_px=np.ones(count, np.float32),
        states=states.astype(np.float32),
        hidden=(1 - skin).astype(np.float32),
        weight=rng.uniform(0.01, 1, count).astype(np.float32),
        replicates=replicates.astype(np.float32),
        by_model=draw(st.booleans()),
    )


def fused(*taken: PhotoEvidence) -> EvidenceMap:
    return fuse(taken, N_CELLS, REPLICATES)


@given(st.lists(photos(), max_size=4))
def test_assessed_cells_sum_to_one_and_others_to_nothing(taken):
    found = fused(*taken)
    sums = found.probabilities.sum(axis=1)
    np.testing.assert_allclose(sums[found.assessed], 1, atol=1e-5)
    assert (sums[~found.assessed] == 0).all()
    drawn = found.replicates.sum(axis=2)
    np.testing.assert_allclose(drawn[:, found.assessed], 1, atol=1e-5)
    assert (drawn[:, ~found.assessed] == 0).all()
    assert not (found.hidden & found.assessed).any()


@given(st.lists(photos(), max_size=3), photos())
def test_a_photo_given_twice_changes_nothing(others, photo):
    # Twice the whole visit: the weighted mean is that of once.
    once, twice = fused(*others, photo), fused(*others, photo, *others, photo)
    np.testing.assert_allclose(once.probabilities, twice.probabilities, atol=1e-6)
    np.testing.assert_array_equal(once.weight, twice.weight)
    np.testing.assert_array_equal(once.hidden, twice.hidden)


@given(st.lists(photos(), max_size=3), photos())
def test_one_more_photo_never_widens_what_is_unseen(others, photo):
    before, after = fused(*others), fused(*others, photo)
    assert not (before.assessed & ~after.assessed).any()
    assert (after.weight >= before.weight).all()
    seen_before = before.assessed | before.hidden
    assert not (seen_before & ~(after.assessed | after.hidden)).any()


@given(st.lists(photos(), min_size=2, max_size=4))
def test_the_order_of_photos_matters_to_rounding_only(taken):
    forth, back = fused(*taken), fused(*reversed(taken))
    np.testing.assert_allclose(forth.probabilities, back.probabilities, atol=1e-6)
    np.testing.assert_array_equal(forth.weight, back.weight)
    np.testing.assert_array_equal(forth.hidden, back.hidden)


@given(st.lists(photos(), min_size=1, max_size=4))
def test_a_cell_knows_how_much_a_network_drew(taken):
    found = fused(*taken)
    assert ((found.model_share >= 0) & (found.model_share <= 1)).all()
    assert (found.model_share[~found.assessed] == 0).all()
    if all(photo.by_model for photo in taken):
        np.testing.assert_allclose(found.model_share, found.assessed, atol=1e-6)
    if not any(photo.by_model for photo in taken):
        assert not found.model_share.any()


@given(photos())
def test_a_cell_seen_by_one_photo_has_that_photos_shares(photo):
    found = fused(photo)
    enough = photo.states.sum(axis=1) >= 0.3
    expected = photo.states[enough] / photo.states[enough].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.probabilities[photo.cells[enough]], expected, atol=1e-6)
