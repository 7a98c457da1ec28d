"""Photos that place themselves: from a place map to points, and from points to a placed body."""

from dataclasses import replace

import numpy as np
import pytest
from tests.chart.scenes import FOCAL, SIZE

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.landmarks import LANDMARKS
from bsa_vision.chart.places import nearest_cells, plain_vertices
from bsa_vision.chart.register import Placement, register
from bsa_vision.chart.sightings import FOUND_POINTS, found
from bsa_vision.core.errors import Refused
from bsa_vision.dense.api import STRIDE, PlaceMap

_NETWORK = (384, 512)
_CELLS = load_cells()
_NO_VIEW = np.eye(21, dtype=np.float32)[0]


@pytest.fixture(scope="module")
def places(standing):
    """What a network without error would say: the nearest cell that each output pixel shows."""
    camera = standing.pose.camera(SIZE)
    centres = _CELLS.centres(standing.vertices)
    corners = standing.vertices[BodyModel.load().faces[_CELLS.face]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = (normals * (camera.centre() - centres)).sum(axis=1) > 0
    depth = camera.to_camera(centres)[:, 2]
    scale = np.array(_NETWORK) / np.array(SIZE) / STRIDE
    column, row = np.floor((camera.project(centres) + 0.5) * scale).astype(int).T
    shape = (_NETWORK[1] // STRIDE, _NETWORK[0] // STRIDE)
    skin, at = np.zeros(shape, np.float32), np.zeros((*shape, 3), np.float32)
    plain = _CELLS.centres(plain_vertices())
    shown = facing & (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    far_first = np.flatnonzero(shown)[np.argsort(-depth[shown])]
    skin[row[far_first], column[far_first]] = 1
    at[row[far_first], column[far_first]] = plain[far_first]
    left = np.where(at[..., 0] > 0, 0.95, 0.05).astype(np.float32)
    at[..., 0] = np.abs(at[..., 0])
    return PlaceMap(_NETWORK, skin, at, np.full(shape, 0.02, np.float32), left, _NO_VIEW)


def errors_mm(placement, standing):
    """Distances in the photo, as millimetres, between landmarks and where they were placed."""
    marks = [LANDMARKS[name] for name in standing.points]
    faces = BodyModel.load().faces[[mark.face for mark in marks]]
    weights = np.array([mark.barycentric for mark in marks])
    placed = np.einsum("nk,nkc->nc", weights, placement.vertices[faces])
    off = placement.camera.project(placed) - np.array(list(standing.points.values()))
    return np.linalg.norm(off, axis=1) * placement.camera.to_camera(placed)[:, 2] / FOCAL * 1000


def test_the_nearest_cell_of_a_cells_place_is_that_cell():
    chosen = np.arange(0, len(_CELLS), 997)
    cell, distance = nearest_cells(_CELLS.centres(plain_vertices())[chosen])
    assert (cell == chosen).all()
    assert distance.max() == 0


def test_true_places_place_the_body(body, standing, places):
    sightings = found(places, SIZE)
    assert len(sightings) == FOUND_POINTS
    placement = register(body.rest, {}, SIZE, "whole_front", FOCAL, others=sightings)
    assert isinstance(placement, Placement)
    assert placement.landmark_rms is None
    error = errors_mm(placement, standing)
    # An output pixel is 23 mm of this photo.
    assert np.median(error) < 15
    assert np.quantile(error, 0.9) < 40


def test_the_common_error_is_that_of_the_places(places):
    unsure = replace(places, spread=3 * places.spread)
    assert found(unsure, SIZE).common_mm == pytest.approx(
        3 * found(places, SIZE).common_mm, rel=0.1
    )


def test_landmarks_are_met_where_a_person_marked_them(body, standing, places):
    sightings = found(replace(places, spread=3 * places.spread), SIZE)
    name = next(iter(standing.points))
    x, y = standing.points[name]
    moved = {name: (x + 30.0, y)}
    alone = register(body.rest, {}, SIZE, "", FOCAL, others=sightings)
    corrected = register(body.rest, moved, SIZE, "", FOCAL, others=sightings)
    assert isinstance(corrected, Placement)

    def shown(placement):
        mark = LANDMARKS[name]
        corners = BodyModel.load().faces[[mark.face]]
        weights = np.array([mark.barycentric])
        place = np.einsum("nk,nkc->nc", weights, placement.vertices[corners])
        rest = np.einsum("nk,nkc->nc", weights, body.rest.vertices[corners])
        px_per_mm = FOCAL / placement.camera.to_camera(place)[:, 2] / 1000
        shift, _ = placement.warp.displacement(rest, px_per_mm)
        return (placement.camera.project(place) + shift)[0]

    wanted = np.array(moved[name])
    before = np.linalg.norm(shown(alone) - wanted)
    assert np.linalg.norm(shown(corrected) - wanted) < 0.4 * before


def test_without_skin_nothing_is_placed(places):
    refused = found(replace(places, skin=0 * places.skin), SIZE)
    assert isinstance(refused, Refused)
    assert refused.code == "body_not_found"


def test_an_open_side_is_refused_and_not_guessed(places):
    refused = found(replace(places, left=np.full_like(places.left, 0.55)), SIZE)
    assert isinstance(refused, Refused)
    assert refused.code == "side_open"
