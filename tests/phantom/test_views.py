import numpy as np
import pytest

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.core.frames import Camera
from bsa_vision.phantom.patient import random_patient
from bsa_vision.phantom.views import (
    VIEWS,
    framing_camera,
    look_rotation,
    random_pose,
    scaled_camera,
    view_direction,
    view_groups,
)


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_the_part_fills_the_frame_and_stays_inside(name):
    view = VIEWS[name]
    rng = np.random.default_rng(4)
    vertices = BodyModel.load().posed(random_patient(4).rest, random_pose(rng, view))
    points = vertices[view_groups()[view.group]]
    rotation = look_rotation(view_direction(view.azimuth_deg, view.elevation_deg), 0.1)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    camera = framing_camera(points, rotation, 30.0, (600, 800), 0.9)
    reach = np.abs(camera.project(points) - [299.5, 399.5]) / [300, 400]
    # The search stops within 2 % of the wanted 0.9 of the half extent.
    assert 0.86 < reach.max() < 0.94
    assert camera.to_camera(points)[:, 2].min() > 0.1


@pytest.mark.parametrize(
    ("azimuth", "left_on_the_right"), [(0, 1), (180, -1)], ids=["front", "back"]
)
def test_the_patients_left_is_on_the_proper_side(azimuth, left_on_the_right):
    rotation = look_rotation(view_direction(azimuth, 0), 0.0)
    np.testing.assert_allclose(rotation @ [1, 0, 0], [left_on_the_right, 0, 0], atol=1e-12)
    np.testing.assert_allclose(rotation @ [0, 0, 1], [0, -1, 0], atol=1e-12)


def test_the_left_profile_is_seen_from_the_left():
    # The camera of azimuth 90 stands at the patient's left, +x, and so looks along -x.
    np.testing.assert_allclose(view_direction(90, 0), [-1, 0, 0], atol=1e-12)


def test_arms_are_the_patients_own():
    vertices = random_patient(0).rest.vertices
    assert np.median(vertices[view_groups()["arm_left"], 0]) > 0.1
    assert np.median(vertices[view_groups()["arm_right"], 0]) < -0.1


def test_resampling_keeps_pixel_centres():
    camera = Camera(
        k=np.array([[500, 0, 99.5], [0, 500, 49.5], [0, 0, 1.0]]),
        r=np.eye(3), t=np.array([0, 0, 2.0]), size=(200, 100),
    )  # fmt: skip
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 3))
    half = scaled_camera(camera, 0.5, (100, 50))
    # A point at the common corner of four pixels is the centre of the merged one.
    np.testing.assert_allclose(half.project(points), (camera.project(points) - 0.5) / 2)
