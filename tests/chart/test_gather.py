from dataclasses import replace

import numpy as np
import pytest
from tests.chart.scenes import FOCAL, SIZE, scene

from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.fuse import fuse
from bsa_vision.chart.gather import (
    MAX_PLACEMENT_SD_MM,
    PhotoEvidence,
    gather,
    see_cells,
    share_on_body,
)
from bsa_vision.chart.landmarks import LANDMARKS
from bsa_vision.chart.register import Placement, register
from bsa_vision.core.errors import Refused
from bsa_vision.core.labels import SKIN_STATES, Label

CELLS = load_cells()


def seen_from(body, azimuth, seed=1):
    placement = register(body.rest, scene(body, azimuth, seed).points, SIZE, focal_px=FOCAL)
    assert isinstance(placement, Placement)
    return see_cells(placement, CELLS, 3, np.random.default_rng(0))


@pytest.fixture(scope="module")
def front(body):
    return seen_from(body, 0.0)


def uniform(label: Label) -> np.ndarray:
    return np.full((SIZE[1] // 4, SIZE[0] // 4), label, np.uint8)


def gathered(seen, labels, probabilities=None) -> PhotoEvidence:
    evidence = gather(seen, labels, probabilities, SIZE)
    assert isinstance(evidence, PhotoEvidence)
    return evidence


def test_the_front_view_sees_the_front_and_not_the_back(body, front):
    seen = np.zeros(len(CELLS), bool)
    seen[front.cells] = True
    trunk_front, trunk_back = CELLS.region == 2, CELLS.region == 3
    area = body.cell_areas_cm2
    # The mid-axillary border is seen edge-on, so some of the front is too flat to count.
    assert area[seen & trunk_front].sum() > 0.75 * area[trunk_front].sum()
    assert area[seen & trunk_back].sum() < 0.05 * area[trunk_back].sum()


def test_skin_behind_an_arm_is_not_seen(body):
    side = seen_from(body, np.pi / 2)
    seen = np.zeros(len(CELLS), bool)
    seen[side.cells] = True
    # The patient's left side is turned to the camera; the right arm is hidden by the trunk.
    right_arm = (CELLS.region == 6) & (CELLS.side == -1)
    left_arm = (CELLS.region == 6) & (CELLS.side == 1)
    area = body.cell_areas_cm2
    assert area[seen & left_arm].sum() > 0.3 * area[left_arm].sum()
    assert area[seen & right_arm].sum() < 0.02 * area[right_arm].sum()


def test_how_much_of_the_placed_skin_lies_on_the_body(front):
    assert share_on_body(front, uniform(Label.DETACHED), SIZE) == 1.0
    assert share_on_body(front, uniform(Label.NOT_ASSESSABLE), SIZE) == 1.0
    assert share_on_body(front, uniform(Label.BACKGROUND), SIZE) == 0.0
    half = uniform(Label.UNAFFECTED)
    half[:, : half.shape[1] // 2] = Label.BACKGROUND
    assert share_on_body(front, half, SIZE) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("label", SKIN_STATES)
def test_a_uniform_mask_gives_a_uniform_state(front, label):
    evidence = gathered(front, uniform(label))
    column = SKIN_STATES.index(label)
    np.testing.assert_allclose(evidence.states[:, column], 1)
    np.testing.assert_allclose(evidence.states.sum(axis=1), 1)
    fused = fuse([evidence], len(CELLS), 3)
    np.testing.assert_allclose(fused.probabilities[fused.assessed, column], 1)


def test_background_is_no_evidence_and_a_dressing_is_hidden_skin(front):
    background = gather(front, uniform(Label.BACKGROUND), None, SIZE)
    assert isinstance(background, Refused)
    assert background.code == "no_skin_found"
    dressed = fuse([gathered(front, uniform(Label.NOT_ASSESSABLE))], len(CELLS), 3)
    assert not dressed.assessed.any()
    assert dressed.hidden[front.cells[front.sd_mm < 40]].all()


def test_probabilities_of_certainty_equal_labels(front):
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 6, (200, 150)).astype(np.uint8)
    certain = (np.eye(7, dtype=np.uint8) * 255)[labels]
    np.testing.assert_allclose(
        gathered(front, labels).states, gathered(front, labels, certain).states, atol=1e-6
    )


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize(("axis", "by"), [(0, 500.0), (0, -500.0), (1, 500.0), (1, -1500.0)])
def test_skin_moved_out_of_the_frame_is_not_seen(front, drawn, axis, by):
    """What counts is where a cell lands, not the border pixel that is nearest to it."""
    move = by * np.eye(2)[axis]
    shifts = np.zeros_like(front.shifts)
    shifts[0], shifts[1] = -move, 3 * SIZE[1]  # back to where it was; all of it out of the frame
    moved = replace(front, samples=front.samples + move, shifts=shifts)
    sure = front.sd_mm < MAX_PLACEMENT_SD_MM

    def share_inside(seen) -> np.ndarray:
        at = seen.samples[sure]
        return ((at >= -0.5) & (at < np.array(SIZE) - 0.5)).all(axis=2).mean(axis=1)

    share = share_inside(moved)
    assert min((share == 0).sum(), (share == 1).sum()) > 300
    labels = uniform(Label.DETACHED)
    # Rounded to 255ths, the probabilities of a pixel need not sum to 255.
    probabilities = None if drawn else np.repeat((labels == 4)[..., None] * np.uint8(36), 7, axis=2)
    skin = 1.0 if drawn else 5 / 7
    evidence = gathered(moved, labels, probabilities)
    np.testing.assert_array_equal(evidence.cells, front.cells[sure][share > 0])
    np.testing.assert_allclose(evidence.states.sum(axis=1), skin, rtol=1e-6)
    back = share_inside(front)[share > 0] > 0
    np.testing.assert_allclose(evidence.replicates[0].sum(axis=1), skin * back, rtol=1e-6)
    assert (evidence.replicates[1] == 0).all()
    # Without shifts or cuts a footprint weighs what it did; of one that is cut, the part inside.
    whole = gathered(replace(front, samples=np.full_like(front.samples, 300.0)), labels)
    assert len(whole.cells) == sure.sum()
    weight = (whole.weight * share)[share > 0]
    np.testing.assert_allclose(evidence.weight, weight, rtol=1e-6)
    fused = fuse([evidence], len(CELLS), 3)
    assert fused.assessed.sum() == (share > 0).sum()
    np.testing.assert_array_equal(fused.replicates[1], fused.probabilities)


def test_an_unsure_placement_is_refused_in_words(front):
    unsure = type(front)(
        front.cells,
        front.samples,
        front.cosine,
        front.mm_per_px,
        np.full(len(front.cells), 80.0),
        front.shifts,
    )
    refused = gather(unsure, uniform(Label.UNAFFECTED), None, SIZE)
    assert isinstance(refused, Refused)
    assert refused.code == "placement_uncertain"
    assert "80 mm" in refused.reason


def lesion_evidence(seen, seed) -> PhotoEvidence:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(1, 6, (20, 15)).astype(np.uint8)
    return gathered(seen, np.kron(blocks, np.ones((25, 25), np.uint8)))


def test_fusing_a_photo_with_itself_changes_nothing(front):
    photo = lesion_evidence(front, 1)
    once, twice = fuse([photo], len(CELLS), 3), fuse([photo, photo], len(CELLS), 3)
    np.testing.assert_allclose(once.probabilities, twice.probabilities, atol=1e-7)
    np.testing.assert_array_equal(once.weight, twice.weight)
    np.testing.assert_array_equal(once.hidden, twice.hidden)


def test_more_photos_never_widen_what_is_unseen(body, front):
    photos = [lesion_evidence(front, 2), lesion_evidence(seen_from(body, 3.1, 2), 3)]
    one, both = fuse(photos[:1], len(CELLS), 3), fuse(photos, len(CELLS), 3)
    assert not (one.assessed & ~both.assessed).any()
    assert both.assessed.sum() > 1.5 * one.assessed.sum()


def test_every_assessed_cell_has_probabilities_that_sum_to_one(front):
    fused = fuse([lesion_evidence(front, 4)], len(CELLS), 3)
    sums = fused.probabilities.sum(axis=1)
    np.testing.assert_allclose(sums[fused.assessed], 1, atol=1e-5)
    assert (sums[~fused.assessed] == 0).all()
    np.testing.assert_allclose(fused.replicates[:, fused.assessed].sum(axis=2), 1, atol=1e-5)


def test_a_mirrored_photo_gives_the_mirrored_cells(body, front):
    """The same picture, left and right exchanged, lands on the opposite cells."""
    points = scene(body, 0.0, 1).points
    mirrored = {
        LANDMARKS[name].mirror or name: (SIZE[0] - 1 - x, y) for name, (x, y) in points.items()
    }
    placement = register(body.rest, mirrored, SIZE, focal_px=FOCAL)
    assert isinstance(placement, Placement)
    other = see_cells(placement, CELLS, 3, np.random.default_rng(0))
    blocks = np.random.default_rng(5).integers(1, 6, (20, 15)).astype(np.uint8)
    labels = np.kron(blocks, np.ones((100, 100), np.uint8))
    here = fuse([gathered(front, labels)], len(CELLS), 3)
    there = fuse([gathered(other, labels[:, ::-1])], len(CELLS), 3)
    opposite = there.probabilities[CELLS.mirror]
    both = here.assessed & there.assessed[CELLS.mirror]
    assert both.sum() > 0.97 * here.assessed.sum()
    # Pixel borders may be crossed where the two fits stop a fraction of a pixel apart.
    differs = np.abs(here.probabilities[both] - opposite[both]).max(axis=1) > 0.3
    assert differs.mean() < 0.01
