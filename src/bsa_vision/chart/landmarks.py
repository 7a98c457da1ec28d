"""Named points of the body surface that a nurse can find in a photo.

`data/landmarks.json` is the source: for each landmark a skin face of the Anny topology and three
weights of that face's corners, so that the landmark follows the body through shape and pose. Left
and right are the patient's; the two of a pair are mirror images. `docs/landmarks.md` shows each of
them on rendered bodies.
"""

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray

ASSET = "data/landmarks.json"
#: A photo's landmark file holds a few kilobytes; more is some other file.
MAX_FILE_BYTES = 1_000_000
_OPPOSITE = {"_left": "_right", "_right": "_left"}


@dataclass(frozen=True)
class Landmark:
    """A named point of the body surface.

    Attributes
    ----------
    name : snake_case; the patient's side as the suffix ``_left`` or ``_right``.
    meaning : one sentence that says where to find it.
    face : index into `BodyModel.faces`.
    barycentric : weights of the face's three corners; they sum to 1.
    mirror : the name of the landmark on the other side, None in the midline.
    """

    name: str
    meaning: str
    face: int
    barycentric: tuple[float, float, float]
    mirror: str | None


def _mirror(name: str) -> str | None:
    for suffix, other in _OPPOSITE.items():
        if name.endswith(suffix):
            return name.removesuffix(suffix) + other
    return None


def _load_landmarks() -> Mapping[str, Landmark]:
    """The shipped table by name, head to foot."""
    text = files("bsa_vision.chart").joinpath(ASSET).read_text(encoding="utf-8")
    landmarks = {}
    for entry in json.loads(text)["landmarks"]:
        name = str(entry["name"])
        first, second, third = entry["barycentric"]
        landmarks[name] = Landmark(
            name, str(entry["meaning"]), int(entry["face"]), (first, second, third), _mirror(name)
        )
    return MappingProxyType(landmarks)


#: All landmarks by name, head to foot (a small file: under a millisecond at import).
LANDMARKS: Mapping[str, Landmark] = _load_landmarks()


def landmark_points(vertices: FloatArray, names: Iterable[str]) -> FloatArray:
    """Where landmarks lie on a body.

    Parameters
    ----------
    vertices : (13718, 3) metres, at rest or posed.
    names : N landmark names.

    Returns
    -------
    (N, 3) metres, in the order of `names`.

    Raises
    ------
    KeyError
        For a name that is not a landmark.
    """
    chosen = [LANDMARKS[name] for name in names]
    corners = BodyModel.load().faces[[landmark.face for landmark in chosen]]
    weights = np.array([landmark.barycentric for landmark in chosen]).reshape(-1, 3)
    points: FloatArray = np.einsum("nk,nkc->nc", weights, vertices[corners].reshape(-1, 3, 3))
    return points


def parse_landmark_file(path: Path) -> dict[str, tuple[float, float]] | Refused:
    """The landmarks marked in a photo.

    The file is ``{"points": {name: [x, y], ...}}`` in pixels of the photo as displayed, (0, 0) the
    centre of its top-left pixel, x right, y down. Points outside the photo are allowed: a
    landmark can be hidden or lie beyond the frame.

    Returns
    -------
    Pixel (x, y) by name; `Refused` where the file cannot be read, is not of this form, holds a
    name that is not a landmark or a coordinate that is not a finite number.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return _refused(path, f"at most {MAX_FILE_BYTES // 1000} kB", "a larger file")
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _refused(path, "a landmark file", "no such file")
    except OSError as error:
        return _refused(path, "a readable file", error.strerror or type(error).__name__)
    except (ValueError, RecursionError):  # JSON, UTF-8 and too long integers among them
        return _refused(path, 'JSON of the form {"points": {"name": [x, y]}}', "something else")
    points = document.get("points") if isinstance(document, dict) else None
    if not isinstance(points, dict):
        return _refused(path, 'JSON of the form {"points": {"name": [x, y]}}', 'no "points"')
    return _checked_points(path, points)


def _checked_points(
    path: Path, points: Mapping[str, Any]
) -> dict[str, tuple[float, float]] | Refused:
    """`points` of a landmark file as pairs of floats, or what is wrong with the first bad one."""
    unknown = [name for name in points if name not in LANDMARKS]
    if unknown:
        return Refused(
            "landmark_unknown",
            f"{path.name}: needed names of landmarks, got {', '.join(map(repr, unknown[:5]))}"
            f"{f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''}.",
            f"{_suggestion(unknown[0])} `bsa-vision landmarks` lists all names.",
        )
    checked = {}
    for name, value in points.items():
        pair = _finite_pair(value)
        if pair is None:
            return _refused(path, f"two finite numbers for {name}", json.dumps(value)[:60])
        checked[name] = pair
    return checked


def _finite_pair(value: Any) -> tuple[float, float] | None:
    """Two finite numbers as floats, or None (a bool is not a number here)."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    if any(isinstance(number, bool) or not isinstance(number, int | float) for number in value):
        return None
    try:
        x, y = float(value[0]), float(value[1])
    except OverflowError:  # an integer beyond the range of floats
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None


def _suggestion(name: str) -> str:
    """What may have been meant by an unknown name."""
    close = difflib.get_close_matches(name, LANDMARKS, n=3, cutoff=0.6)
    return f"For {name!r}, did you mean {' or '.join(close)}?" if close else "Correct the names."


def _refused(path: Path, needed: str, got: str) -> Refused:
    return Refused(
        "landmarks_unreadable",
        f"{path.name}: needed {needed}, got {got}.",
        "Mark the landmarks of this photo again.",
    )
