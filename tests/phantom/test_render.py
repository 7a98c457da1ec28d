from dataclasses import replace

import cv2
import numpy as np
import pytest

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.core.labels import Label
from bsa_vision.phantom.dressings import covered
from bsa_vision.phantom.raycast import Caster, Mesh
from bsa_vision.phantom.render import render
from bsa_vision.phantom.scene import Framing, build_scene, make_case, random_dressings
from bsa_vision.phantom.views import VIEWS

_DAY = 5.0


@pytest.fixture(scope="module")
def scene():
    case = make_case(23, None, 0.3)
    dressings = random_dressings(np.random.default_rng(3), case, 4.0)
    framing = Framing(
        view=VIEWS["trunk_front"],
        size=(320, 240),
        focal_35mm=30.0,
        fill=0.9,
        close_up=None,
        with_sheet=True,
        harshness=0.0,
    )
    return build_scene(case, _DAY, dressings, framing, 5)


@pytest.fixture(scope="module")
def rendering(scene):
    return render(scene)


def test_the_mask_is_the_truth_of_the_surface(scene, rendering):
    """Points of the skin, projected, fall on pixels that carry their state."""
    surface, model = scene.case.surface, BodyModel.load()
    corners = scene.vertices[model.faces[surface.face]]
    points = np.einsum("nk,nkc->nc", surface.barycentric, corners)
    label = scene.case.course.state(surface.position, surface.inclination, _DAY).label
    hidden, _ = covered(scene.dressings, surface.position)
    label = np.where(hidden, int(Label.NOT_ASSESSABLE), label)
    eye = scene.camera.centre()
    distance = np.linalg.norm(points - eye, axis=1)
    rays = ((points - eye) / distance[:, None]).astype(np.float32)
    caster = Caster([Mesh(scene.vertices, model.faces)])
    reach = caster.nearest(eye.astype(np.float32), rays).distance
    pixel = scene.camera.project(points)
    column, row = np.rint(pixel).astype(int).T
    shown = (np.abs(reach - distance) < 1e-4) & (column >= 0) & (row >= 0)
    shown &= (column < 320) & (row < 240)
    shown[shown] &= ~rendering.sheet[row[shown], column[shown]]
    assert shown.sum() > 5000
    # A point lies within half a pixel of a pixel's centre: where the pixel and its eight
    # neighbours agree, only a lesion smaller than a pixel could lie between.
    square = np.ones((3, 3), np.uint8)
    calm = cv2.erode(rendering.mask, square) == cv2.dilate(rendering.mask, square)
    sure = shown.copy()
    sure[shown] = calm[row[shown], column[shown]]
    assert sure.sum() > 2000
    assert np.mean(rendering.mask[row[sure], column[sure]] == label[sure]) > 0.99
    # Moved by ten pixels, the same points do not agree: the test can fail.
    moved = np.clip(column[sure] + 10, 0, 319)
    assert np.mean(rendering.mask[row[sure], moved] == label[sure]) < 0.9


def test_only_the_body_is_labelled(rendering):
    assert not rendering.mask[~rendering.body].any()
    assert rendering.body.mean() > 0.1
    assert (rendering.mask[rendering.body] > 0).mean() > 0.98


def test_light_is_finite_and_the_sheet_is_there(rendering):
    assert rendering.light.dtype == np.float32
    assert np.isfinite(rendering.light).all()
    assert rendering.light.min() >= 0
    assert rendering.sheet.sum() > 500


def test_the_light_on_the_sheet_is_what_its_paper_sends_back(scene, rendering):
    inner = cv2.erode(rendering.sheet.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    sent = rendering.light[inner]
    paper = sent[sent[:, 1] > np.quantile(sent[:, 1], 0.7)].mean(axis=0)
    # Reflectance of the paper, see `sheet_texture`; shadows and gloss differ over the sheet.
    assert rendering.sheet_light == pytest.approx(paper / 0.87, rel=0.06)
    assert render(replace(scene, sheet=None)).sheet_light is None


def test_rendering_twice_gives_the_same(scene, rendering):
    again = render(scene)
    np.testing.assert_array_equal(again.light, rendering.light)
    np.testing.assert_array_equal(again.mask, rendering.mask)


def test_supersampling_changes_edges_only(scene, rendering):
    finer = render(scene, 1.5)
    assert finer.mask.shape == rendering.mask.shape
    assert np.mean(finer.mask == rendering.mask) > 0.95
