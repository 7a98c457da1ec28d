"""The standard views: what each shows, from where, and poses and cameras that fit it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.core.frames import Camera, FloatArray
from bsa_vision.core.units import FULL_FRAME_DIAGONAL_MM


@dataclass(frozen=True)
class View:
    """A standard view.

    Attributes
    ----------
    group : the part of the body that fills the frame, a key of `view_groups`.
    azimuth_deg : of the camera about the body: 0 in front, 90 at the patient's left, 180 behind.
    elevation_deg : of the camera above the horizontal.
    palms_up : how the hands are held where the hands are what is shown.
    """

    group: str
    azimuth_deg: float
    elevation_deg: float = 0.0
    palms_up: bool = False


VIEWS: Mapping[str, View] = {
    "whole_front": View("whole", 0),
    "whole_back": View("whole", 180),
    "head_front": View("head", 0),
    "head_back": View("head", 180),
    "head_left": View("head", 90),
    "head_right": View("head", -90),
    "trunk_front": View("trunk", 0),
    "trunk_back": View("trunk", 180),
    "trunk_left": View("trunk", 90),
    "trunk_right": View("trunk", -90),
    "arm_left_front": View("arm_left", 0),
    "arm_left_back": View("arm_left", 180),
    "arm_right_front": View("arm_right", 0),
    "arm_right_back": View("arm_right", 180),
    "legs_front": View("legs", 0),
    "legs_back": View("legs", 180),
    "hands_dorsal": View("hands", 0, 40),
    "hands_palmar": View("hands", 0, 40, palms_up=True),
    "feet_dorsal": View("feet", 0, 50),
    "feet_plantar": View("feet", 0, -70),
}
#: The fourteen views of a usual visit.
DEFAULT_VIEWS = (
    "whole_front",
    "whole_back",
    "head_front",
    "head_back",
    "trunk_front",
    "trunk_back",
    "trunk_left",
    "trunk_right",
    "legs_front",
    "legs_back",
    "arm_left_front",
    "arm_left_back",
    "arm_right_front",
    "arm_right_back",
)
PORTRAIT_GROUPS = frozenset({"whole", "legs", "arm_left", "arm_right"})

_STEMS: Mapping[str, tuple[str, ...]] = {
    "head": ("head", "neck", "eye"),
    "trunk": ("spine", "clavicle", "shoulder", "pelvis", "root"),
    "arm": ("upperarm", "lowerarm", "wrist", "finger", "metacarpal"),
    "legs": ("upperleg", "lowerleg", "foot", "toe"),
    "hands": ("wrist", "finger", "metacarpal"),
    "feet": ("foot", "toe"),
}


@lru_cache(maxsize=1)
def view_groups() -> Mapping[str, NDArray[np.intp]]:
    """Vertex indices of the parts of the body that views frame."""
    model = BodyModel.load()
    strongest = model.skin_bones[
        np.arange(len(model.skin_bones)), model.skin_weights.argmax(axis=1)
    ]
    labels = np.array(model.bone_labels)[strongest]
    groups = {}
    for name, stems in _STEMS.items():
        groups[name] = np.flatnonzero([label.startswith(stems) for label in labels])
    left = np.array([label.endswith(".L") for label in labels])
    arm = groups.pop("arm")
    groups["arm_left"], groups["arm_right"] = arm[left[arm]], arm[~left[arm]]
    groups["whole"] = np.arange(len(labels))
    return groups


def random_pose(rng: np.random.Generator, view: View) -> dict[str, FloatArray]:
    """Joint rotations (rotation vectors by bone label) a patient might hold for a view.

    The body rests with arms half abducted; for the patient's left side a positive turn about y
    lowers the arm and closes the leg, a negative turn about x flexes elbow and hip.
    """
    pose: dict[str, FloatArray] = {}
    arm_open = rng.uniform(-0.35, 0.5)
    leg_open = rng.uniform(-0.12, 0.08)
    for side, sign in (("L", 1.0), ("R", -1.0)):
        lower = arm_open + rng.normal(0, 0.12)
        forward = rng.normal(0.05, 0.15)
        facing = view.azimuth_deg == 90 * sign
        if view.group == "trunk" and abs(view.azimuth_deg) == 90:
            # The arm on the camera's side gives way, so that the flank is seen.
            lower, forward = rng.uniform(-0.9, -0.3), rng.uniform(0.3, 1.0) if facing else forward
        twist = rng.normal(0, 0.2)
        pose[f"upperarm01.{side}"] = np.array([-forward, sign * lower, sign * twist])
        pose[f"lowerarm01.{side}"] = np.array(
            [-abs(rng.normal(0, 0.25)), sign * rng.normal(0, 0.08), sign * rng.normal(0, 0.15)]
        )
        pose[f"lowerarm02.{side}"] = np.array([0, 0, sign * rng.normal(0.0, 0.25)])
        pose[f"wrist.{side}"] = rng.normal(0, 0.12, 3)
        pose[f"upperleg01.{side}"] = np.array(
            [rng.normal(-0.04, 0.08), sign * (leg_open + rng.normal(0, 0.04)), rng.normal(0, 0.08)]
        )
        pose[f"lowerleg01.{side}"] = np.array([abs(rng.normal(0, 0.1)), 0, 0])
        pose[f"foot.{side}"] = np.array([rng.normal(0, 0.12), 0, rng.normal(0, 0.1)])
        pose[f"clavicle.{side}"] = rng.normal(0, 0.04, 3)
    if view.group == "hands":
        pose.update(_hands_forward(rng, palms_up=view.palms_up))
    for bone in ("spine05", "spine03", "spine01"):
        pose[bone] = rng.normal(0, (0.03, 0.025, 0.03))
    pose["neck01"] = rng.normal(0, (0.08, 0.04, 0.1))
    pose["head"] = rng.normal(0, (0.08, 0.05, 0.14))
    return pose


def _hands_forward(rng: np.random.Generator, *, palms_up: bool) -> dict[str, FloatArray]:
    """Both forearms held forward, hands side by side."""
    pose: dict[str, FloatArray] = {}
    turn = rng.uniform(-1.7, -1.3) if palms_up else rng.uniform(0.8, 1.2)
    for side, sign in (("L", 1.0), ("R", -1.0)):
        along = np.array([0.53 * sign, -0.68, -0.53])  # the forearm at rest, elbow to wrist
        pose[f"upperarm01.{side}"] = np.array([rng.normal(-0.1, 0.06), sign * 0.6, 0.0])
        pose[f"lowerarm01.{side}"] = np.array([rng.normal(-0.9, 0.1), 0.0, -sign * 0.9])
        pose[f"lowerarm02.{side}"] = along * turn * sign * 0.6
        pose[f"wrist.{side}"] = along * turn * sign * 0.4 + rng.normal(0, 0.08, 3)
    return pose


def look_rotation(direction: FloatArray, roll: float) -> FloatArray:
    """Rotation body -> camera (3, 3) of a camera looking along `direction`, level but for roll."""
    forward = direction / np.linalg.norm(direction)
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.97 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    turn = np.array(
        [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1.0]]
    )
    rotation: FloatArray = turn @ np.stack([right, down, forward])
    return rotation


def view_direction(azimuth_deg: float, elevation_deg: float) -> FloatArray:
    """Unit vector from the camera to the body."""
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    return -np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            -np.cos(azimuth) * np.cos(elevation),
            np.sin(elevation),
        ]
    )


def focal_pixels(focal_35mm: float, size: tuple[int, int]) -> float:
    """Focal length in pixels of a photo of `size` from its 35 mm equivalent."""
    return focal_35mm / FULL_FRAME_DIAGONAL_MM * float(np.hypot(*size))


def scaled_camera(camera: Camera, factor: float, size: tuple[int, int]) -> Camera:
    """The camera of the same photo resampled by `factor` to `size`, pixel centres kept."""
    shift = (factor - 1) / 2
    scale = np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1.0]])
    return Camera(k=scale @ camera.k, r=camera.r, t=camera.t, size=size)


def framing_camera(
    points: FloatArray,
    rotation: FloatArray,
    focal_35mm: float,
    size: tuple[int, int],
    fill: float,
) -> Camera:
    """The nearest camera with a given orientation that keeps all points inside the frame.

    Parameters
    ----------
    points : (N, 3) metres.
    rotation : (3, 3) body -> camera.
    focal_35mm : 35 mm equivalent focal length.
    size : (width, height) pixels.
    fill : share of the frame's half width and height that the points may reach.
    """
    focal = focal_pixels(focal_35mm, size)
    turned = points @ rotation.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    centre = (low + high) / 2
    half = np.array(size) / 2 * fill / focal
    distance = 0.2 - (low[2] - centre[2])
    for _ in range(12):
        depth = turned[:, 2] - centre[2] + distance
        flat = (turned[:, :2] - centre[:2]) / depth[:, None]
        small, large = flat.min(axis=0), flat.max(axis=0)
        centre[:2] += (small + large) / 2 * distance * 0.8
        ratio = float(((large - small) / 2 / half).max())
        distance = max(distance * (1 + 0.8 * (ratio - 1)), 0.15 - (low[2] - centre[2]))
    k = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1.0]])
    return Camera(k=k, r=rotation, t=np.array([0, 0, distance]) - centre, size=size)
