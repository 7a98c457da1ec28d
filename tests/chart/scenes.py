"""A body posed before a camera, with what the camera sees of its landmarks."""

from dataclasses import dataclass

import numpy as np

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.body import Body, solve_body
from bsa_vision.chart.landmarks import LANDMARKS
from bsa_vision.chart.patient import Patient
from bsa_vision.chart.pose_fit import viewing_rotation
from bsa_vision.chart.posing import JOINT_SD, BodyPose
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray

SIZE = (1500, 2000)
FOCAL = 1800.0
WOMAN = Patient(id="T-1", sex="female", age_years=44, height_cm=165, weight_kg=62)


def body_of(patient: Patient = WOMAN) -> Body:
    body = solve_body(patient)
    if isinstance(body, Refused):
        raise TypeError(body.reason)
    return body


@dataclass(frozen=True)
class Scene:
    pose: BodyPose
    vertices: FloatArray
    points: dict[str, tuple[float, float]]


def scene(body: Body, azimuth: float, seed: int = 0, distance: float = 2.6) -> Scene:
    """A standing person with slightly random joints; the landmarks that face the camera."""
    rng = np.random.default_rng(seed)
    sds = np.array(list(JOINT_SD.values()))
    rotation = viewing_rotation(azimuth)
    middle = rotation @ np.array([0, 0, 0.5 * body.height_cm / 100])
    pose = BodyPose(
        rotation,
        np.array([0, 0, distance]) - middle,
        FOCAL,
        0.3 * sds * rng.normal(size=sds.shape),
    )
    model = BodyModel.load()
    vertices = model.posed(body.rest, pose.rotations())
    marks = list(LANDMARKS.values())
    corners = vertices[model.faces[[mark.face for mark in marks]]]
    places = np.einsum("nk,nkc->nc", np.array([mark.barycentric for mark in marks]), corners)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    towards = -rotation.T @ pose.translation - places
    facing = (normals * towards).sum(axis=1) > 0.3 * np.linalg.norm(
        normals, axis=1
    ) * np.linalg.norm(towards, axis=1)
    pixels = pose.camera(SIZE).project(places)
    points = {
        mark.name: (float(x), float(y))
        for mark, (x, y), ok in zip(marks, pixels, facing, strict=True)
        if ok and 0 <= x < SIZE[0] and 0 <= y < SIZE[1]
    }
    return Scene(pose, vertices, points)
