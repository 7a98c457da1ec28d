"""Bodies drawn to the outline that a mask has of them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.chart.scenes import FOCAL, SIZE

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.landmarks import LANDMARKS
from bsa_vision.chart.outline import body_mask, find_outline
from bsa_vision.chart.pose_fit import PosePrior, _Problem
from bsa_vision.chart.posing import PoseSolver, SurfacePoints
from bsa_vision.chart.register import Placement, register
from bsa_vision.chart.sightings import SHAPE_SD_MM, Sightings
from bsa_vision.core.labels import Label
from bsa_vision.dense.api import PlaceMap

_SMALL = (768, 1024)


@pytest.fixture(scope="module")
def mask(standing):
    """The body filled in, as a mask at working size."""
    pixels = standing.pose.camera(SIZE).project(standing.vertices)
    corners = ((pixels + 0.5) * _SMALL[0] / SIZE[0] - 0.5)[BodyModel.load().faces]
    filled = np.zeros(_SMALL[::-1], np.uint8)
    for triangle in np.rint(corners).astype(np.int32):
        cv2.fillConvexPoly(filled, triangle, 1)
    return filled


@pytest.fixture(scope="module")
def solver(body):
    return PoseSolver(BodyModel.load(), body.rest, SIZE)


def rough(standing, seed):
    """Landmarks as a poor network would find them, each 50 mm off in a direction of its own."""
    marks = [LANDMARKS[name] for name in standing.points]
    seen = np.array(list(standing.points.values()))
    depth = float(np.median(standing.pose.camera(SIZE).to_camera(standing.vertices)[:, 2]))
    count = len(marks)
    off = np.random.default_rng(seed).normal(0, 50 / 1000 * FOCAL / depth, (count, 2))
    return Sightings(
        np.array([mark.face for mark in marks]),
        np.array([mark.barycentric for mark in marks]),
        seen + off,
        np.zeros(count),
        np.full(count, 50.0),
        SHAPE_SD_MM,
    )


def error_mm(placement, standing):
    """Median distance of all vertices from the truth, in the photo, as millimetres."""
    camera = standing.pose.camera(SIZE)
    off = placement.camera.project(placement.vertices) - camera.project(standing.vertices)
    depth = camera.to_camera(standing.vertices)[:, 2]
    return float(np.median(np.linalg.norm(off, axis=1) * depth) / FOCAL * 1000)


def placed(body, sightings, mask):
    found = register(body.rest, {}, SIZE, "whole_front", FOCAL, others=sightings, mask=mask)
    assert isinstance(found, Placement)
    return found


def test_the_outline_mends_what_is_off_across_it(body, standing, mask):
    errors = np.array(
        [
            [error_mm(placed(body, rough(standing, seed), used), standing) for used in (None, mask)]
            for seed in range(4)
        ]
    )
    assert (errors[:, 1] < errors[:, 0]).all()
    assert errors[:, 1].mean() < 0.65 * errors[:, 0].mean()


def test_a_swollen_mask_brings_the_body_no_nearer(body, standing, mask):
    """Ten millimetres more on every side of a limb of a hundred are no tenth of the distance."""
    swollen = cv2.dilate(mask, np.ones((7, 7), np.uint8))
    true = float(standing.pose.translation[2])
    for used in (mask, swollen):
        found = placed(body, rough(standing, 1), used)
        assert found.fit.pose.translation[2] == pytest.approx(true, rel=0.03)


def test_a_mask_without_a_body_changes_nothing(body, standing, mask):
    plain = placed(body, rough(standing, 0), None)
    empty = placed(body, rough(standing, 0), np.zeros_like(mask))
    assert (plain.vertices == empty.vertices).all()


def test_the_rim_of_the_true_pose_is_met(standing, solver, mask):
    outline = find_outline(solver, standing.pose, mask, 30.0, 10.0)
    pixels, _, _ = solver.project(outline.points, standing.pose)
    across = ((outline.seen - pixels) * outline.normal).sum(axis=1)
    # A pixel of the mask is two of the photo, and the body's mesh has edges of a centimetre.
    assert np.median(np.abs(across)) < 3
    assert np.allclose(np.linalg.norm(outline.normal, axis=1), 1)


def test_the_edge_of_the_photo_is_no_end_of_the_body(standing, solver, mask):
    """A body cut off by the frame: where the mask's last pixels end, nothing is known to."""
    all_body = np.zeros_like(mask)
    all_body[1:-1, 1:-1] = 1
    assert find_outline(solver, standing.pose, all_body, 500.0, 30.0) is None
    inner = np.zeros_like(mask)
    inner[4:-4, 4:-4] = 1
    assert find_outline(solver, standing.pose, inner, 500.0, 30.0) is not None


def test_gradient_and_cost_of_the_outline_agree(standing, solver, mask):
    """With an offset that all rim points share and a few that belong to something else."""
    outline = find_outline(solver, standing.pose, mask, 30.0, 10.0)
    seen = outline.seen + 9 * outline.normal
    seen[::7] += 60 * outline.normal[::7]
    marks = SurfacePoints(*(values[:3] for values in vars(outline.points).values()))
    problem = _Problem(
        solver, marks, outline.seen[:3], np.full(3, 1e6), PosePrior((np.log(FOCAL), 0.2)),
        replace(outline, seen=seen),
    )  # fmt: skip
    gradient, step = problem.assess(standing.pose).gradient, 1e-5
    numeric = np.zeros_like(gradient)
    for column in range(len(gradient)):
        change = np.zeros_like(gradient)
        change[column] = step
        costs = [problem.assess(standing.pose.moved(sign * change)).cost for sign in (-1, 1)]
        numeric[column] = (costs[0] - costs[1]) / (2 * step)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-3 * np.abs(numeric).max())


def test_a_marked_landmark_is_not_drawn_away_by_the_outline(body, standing, mask):
    name, at = next(iter(standing.points.items()))
    found = [
        register(
            body.rest, {name: at}, SIZE, "whole_front", FOCAL, others=rough(standing, 0), mask=used
        )
        for used in (None, mask)
    ]
    assert (found[0].vertices == found[1].vertices).all()


def test_a_dressing_on_the_body_is_body_and_linen_is_not():
    labels = np.full((400, 300), Label.BACKGROUND, np.uint8)
    labels[100:300, 100:200] = Label.UNAFFECTED
    labels[150:200, 100:200] = Label.NOT_ASSESSABLE
    labels[0:60] = Label.NOT_ASSESSABLE
    skin = np.zeros((100, 75), np.float32)
    skin[25:75, 25:50] = 1
    flat = np.zeros((100, 75), np.float32)
    places = PlaceMap((300, 400), skin, np.zeros((100, 75, 3), np.float32), flat, flat, flat)
    found = body_mask(labels, places)
    assert found.shape == (400, 300)
    assert found[175, 150] == 1
    assert found[:60].max() == 0
    assert found.sum() == pytest.approx(200 * 100, rel=0.02)


def test_a_large_mask_is_made_small():
    flat = np.zeros((10, 10), np.float32)
    places = PlaceMap((40, 40), flat, np.zeros((10, 10, 3), np.float32), flat, flat, flat)
    assert body_mask(np.ones((3000, 2000), np.uint8), places).shape == (1024, 683)
