import numpy as np
import pytest
from tests.chart.scenes import FOCAL, SIZE, scene

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.landmarks import LANDMARKS, landmark_points
from bsa_vision.chart.posing import JOINT_SD, BodyPose
from bsa_vision.chart.register import Placement, register
from bsa_vision.core.errors import Refused


def registered(body, points, view="whole_front", focal=FOCAL):
    return register(body.rest, points, SIZE, view=view, focal_px=focal)


@pytest.mark.parametrize("azimuth", [0.0, 1.5, 3.1])
def test_true_landmarks_place_the_body_within_millimetres(body, azimuth):
    seen = scene(body, azimuth, seed=3)
    placement = registered(body, seen.points)
    assert isinstance(placement, Placement)
    off = np.linalg.norm(placement.vertices - seen.vertices, axis=1)
    camera_off = placement.camera.project(placement.vertices) - seen.pose.camera(SIZE).project(
        seen.vertices
    )
    # 1 px is 1.4 mm at 2.6 m; one view says little of depth, so places are judged in the image.
    assert np.median(np.linalg.norm(camera_off, axis=1)) < 4
    assert np.median(off) < 0.05
    assert placement.distrusted == ()


def test_without_a_focal_length_a_typical_phone_is_assumed(body):
    seen = scene(body, 0.1, seed=4)
    placement = registered(body, seen.points, focal=None)
    assert isinstance(placement, Placement)
    assert placement.landmark_rms[0] < 10


def test_a_scale_of_unknown_tilt_pulls_less(body):
    """Four landmarks say little of the distance, and the sheet says twice the true scale."""
    seen = scene(body, 0.0, seed=3)
    names = ("suprasternal_notch", "umbilicus", "nipple_left", "nipple_right")
    points = {name: seen.points[name] for name in names}
    scales = []
    for log_sd in (0.15, 0.25, 10.0):
        placement = register(
            body.rest, points, SIZE, mm_per_px=2 * 2600 / FOCAL, mm_per_px_log_sd=log_sd
        )
        assert isinstance(placement, Placement)
        navel = landmark_points(placement.vertices, ["umbilicus"])
        scales.append(placement.camera.to_camera(navel)[0, 2] / placement.fit.pose.focal)
    known, unknown, none = scales
    assert known / none - 1 > 1.5 * (unknown / none - 1) > 0


def test_too_few_landmarks_are_refused_with_the_count(body):
    points = dict(list(scene(body, 0.0).points.items())[:3])
    refused = registered(body, points, view="trunk_front")
    assert isinstance(refused, Refused)
    assert refused.code == "landmarks_too_few"
    assert refused.reason == "trunk_front: need at least 4 landmarks, got 3."


def test_landmarks_outside_the_photo_do_not_count(body):
    points = {name: (x + 10_000, y) for name, (x, y) in scene(body, 0.0).points.items()}
    refused = registered(body, points)
    assert isinstance(refused, Refused)
    assert "lie outside the photo" in refused.reason


@pytest.mark.parametrize("azimuth", [0.0, 3.1])
def test_left_and_right_exchanged_is_noticed_and_named(body, azimuth):
    points = {
        LANDMARKS[name].mirror or name: xy
        for name, xy in scene(body, azimuth, seed=5).points.items()
    }
    refused = registered(body, points)
    assert isinstance(refused, Refused)
    assert refused.code == "landmarks_mirrored"
    assert "left and right" in refused.reason.lower()


def test_an_arm_view_with_the_other_arms_landmarks_is_refused(body):
    points = {name: xy for name, xy in scene(body, 0.0).points.items() if name.endswith("_left")}
    refused = registered(body, points, view="arm_right_front")
    assert isinstance(refused, Refused)
    assert refused.code == "landmarks_mirrored"


def test_contradicting_landmarks_are_refused_by_name(body):
    points = scene(body, 0.0, seed=6).points
    rng = np.random.default_rng(0)
    names = list(points)
    shuffled = rng.permutation(len(names))
    mixed = {name: points[names[k]] for name, k in zip(names, shuffled, strict=True)}
    refused = registered(body, mixed)
    assert isinstance(refused, Refused)
    assert refused.code == "landmarks_contradict"
    assert any(name in refused.remedy for name in names)


def test_one_misplaced_landmark_is_distrusted_and_named(body):
    points = dict(scene(body, 0.0, seed=7).points)
    x, y = points["umbilicus"]
    points["umbilicus"] = (x + 500, y + 300)
    placement = registered(body, points)
    assert isinstance(placement, Placement)
    assert placement.distrusted == ("umbilicus",)


def test_feet_photographed_from_above_are_placed(body):
    """The camera looks down the body's axis: the body's middle lies behind it."""
    model = BodyModel.load()
    names = [
        name
        for name in LANDMARKS
        if any(part in name for part in ("toe", "instep", "ankle_front", "metatarsal", "malleolus"))
    ]
    places = landmark_points(body.rest.vertices, names)
    down = np.array([[1.0, 0, 0], [0, -1.0, 0], [0, 0, -1.0]])
    translation = -down @ (places.mean(axis=0) + np.array([0, 0, 0.7]))
    pose = BodyPose(down, translation, FOCAL, np.zeros((len(JOINT_SD), 3)))
    points = dict(zip(names, map(tuple, pose.camera(SIZE).project(places)), strict=True))
    placement = registered(body, points, view="feet_dorsal")
    assert isinstance(placement, Placement)
    feet = np.unique(model.faces[load_cells().face[load_cells().region == 11]])
    off = placement.camera.project(placement.vertices[feet])
    off -= pose.camera(SIZE).project(body.rest.vertices[feet])
    mm = np.linalg.norm(off, axis=1) * 0.7 / FOCAL * 1000
    assert np.percentile(mm, 95) < 25
