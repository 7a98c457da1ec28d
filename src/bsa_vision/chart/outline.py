"""The body's outline in a photo: where the rim of a posed body should be, and where a mask has it.

Places that a network finds are off by centimetres, all in one direction as often as not; the rim of
the skin in the photo is known to millimetres. A point of the rim says nothing of how far the skin
lies along it, so it enters the fit of the pose with its distance across the rim alone.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.posing import NEAREST_M, BodyPose, PoseSolver, SurfacePoints, body_rays
from bsa_vision.core.frames import FloatArray
from bsa_vision.core.labels import SKIN_STATES, Label
from bsa_vision.dense.api import PlaceMap
from bsa_vision.segmentation.padding import network_size

#: Long side of the mask on which the rim is looked for: two millimetres of a whole body.
MASK_SIDE = 1024
#: Specks and gaps narrower than this, pixels of that mask, are no part of the outline.
_SPECK_PX = 7
#: A place map's probability of skin from which what is not assessable lies on the body.
_ON_BODY = 0.5
#: Points taken of the rim, and steps of the search for it on each side.
RIM_POINTS, _STEPS = 200, 40
#: How far a mask may be too wide, or a patient stouter than the body solved for them, as a standard
#: deviation on the skin: a limb swollen by millimetres is no limb nearer to the camera.
SWELLING_MM = 6.0
#: Beyond the rim by this, metres, the line of sight meets no skin of the body.
_BESIDE_M = 0.008
#: With fewer the outline says nothing.
LEAST_RIM_POINTS = 20

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Outline:
    """N points of the rim of a posed body with the nearest rim of the mask across it.

    Attributes
    ----------
    points : on the body.
    seen : (N, 2) pixels of the full-size photo, on the mask's rim.
    normal : (N, 2) unit vectors outwards across the rim.
    sigma : (N,) standard error of the distance along `normal`, pixels.
    swelling : (N,) standard deviation of what the mask is too wide everywhere, pixels.
    """

    points: SurfacePoints
    seen: FloatArray
    normal: FloatArray
    sigma: FloatArray
    swelling: FloatArray


def body_mask(labels: NDArray[np.uint8], places: PlaceMap) -> Mask:
    """Where a photo shows the body, (h, w) of 0 and 1, from its skin states and its place map.

    A dressing belongs to the body where the place map finds it there; linen does not.
    """
    height, width = labels.shape
    size = network_size((width, height), min(MASK_SIDE, max(height, width)))
    labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    on_body = cv2.resize(places.skin, size, interpolation=cv2.INTER_LINEAR) > _ON_BODY
    skin = np.isin(labels, [int(state) for state in SKIN_STATES])
    mask = (skin | ((labels == Label.NOT_ASSESSABLE) & on_body)).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_SPECK_PX, _SPECK_PX))
    opened = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)
    return np.asarray(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, disc), np.uint8)


def find_outline(
    solver: PoseSolver, pose: BodyPose, mask: Mask, reach_mm: float, error_mm: float
) -> Outline | None:
    """The rim of the body in a pose, and of the mask up to `reach_mm` across it; None where unseen.

    Parameters
    ----------
    mask : from `body_mask`.
    error_mm : standard error of a point's distance across the rim, on the skin.
    """
    faces, corners, normal, middle = _rim(solver, pose)
    pixels = middle[:, :2] / middle[:, 2:] * pose.focal + solver.centre
    mm_per_px = 1000 * middle[:, 2] / pose.focal
    steps = np.linspace(-reach_mm, reach_mm, 2 * _STEPS + 1)
    at = pixels[:, None] + normal[:, None] * (steps / mm_per_px[:, None])[..., None]
    offset, found = _nearest_edge(mask, at, steps, solver.size[0])
    chosen = np.flatnonzero(found)
    if len(chosen) < LEAST_RIM_POINTS:
        return None
    count = min(RIM_POINTS, len(chosen))
    chosen = chosen[np.linspace(0, len(chosen) - 1, count).astype(int)]
    barycentric = 0.5 * (
        solver.model.faces[faces[chosen]][:, :, None] == corners[chosen][:, None, :]
    ).any(axis=2)
    return Outline(
        SurfacePoints.from_faces(solver.model, solver.rest, faces[chosen], barycentric),
        pixels[chosen] + normal[chosen] * (offset[chosen] / mm_per_px[chosen])[:, None],
        normal[chosen],
        error_mm / mm_per_px[chosen],
        SWELLING_MM / mm_per_px[chosen],
    )


def _rim(
    solver: PoseSolver, pose: BodyPose
) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray, FloatArray]:
    """Edges between skin turned to the camera and skin turned away, with no skin beside them.

    Returns
    -------
    The face turned to the camera (N,), the edge's vertices (N, 2), its outward normal in the
    picture (N, 2) and its middle before the camera (N, 3), metres.
    """
    model = solver.model
    edge, one, other = _skin_edges()
    vertices = model.posed(solver.rest, pose.rotations()) @ pose.rotation.T + pose.translation
    corners = vertices[model.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = (normals * corners[:, 0]).sum(axis=1) < 0
    middle = vertices[edge].mean(axis=1)
    rim = np.flatnonzero((facing[one] != facing[other]) & (middle[:, 2] > NEAREST_M))
    edge, one, other, middle = edge[rim], one[rim], other[rim], middle[rim]
    lengths = np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    outward = ((normals / lengths)[one] + (normals / lengths)[other])[:, :2]
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    # The rim of an arm before the trunk has no end of the body beside it.
    beside = middle + np.pad(outward, ((0, 0), (0, 1))) * _BESIDE_M
    rays = body_rays(vertices)
    # trimesh has no types here.
    outer = ~rays.intersects_any(np.zeros_like(beside), beside)  # type: ignore[no-untyped-call]
    face = np.where(facing[one], one, other)
    return face[outer], edge[outer], outward[outer], middle[outer]


def _nearest_edge(
    mask: Mask, at: FloatArray, steps: FloatArray, width: int
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Where, of `steps` along lines of pixels (N, S, 2), the mask ends nearest to 0; and whether.

    The photo's own edge is no end of the body.
    """
    rows, columns = mask.shape
    index = np.rint((at + 0.5) * (columns / width) - 0.5).astype(np.intp)
    x, y = index[..., 0], index[..., 1]
    framed = (x >= 2) & (y >= 2) & (x < columns - 2) & (y < rows - 2)
    body = mask[np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)] == 1
    ends = body[:, :-1] & ~body[:, 1:] & framed[:, :-1] & framed[:, 1:]
    middles = (steps[1:] + steps[:-1]) / 2
    away = np.where(ends, np.abs(middles), np.inf)
    return middles[away.argmin(axis=1)], ends.any(axis=1)


@lru_cache(maxsize=1)
def _skin_edges() -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Edges of the skin: their vertices (E, 2) and the two faces they join, (E,) each."""
    model = BodyModel.load()
    faces = model.faces
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    face = np.tile(np.arange(len(faces)), 3)
    order = np.lexsort((edges[:, 1], edges[:, 0]))
    edges, face = edges[order].astype(np.intp), face[order]
    first = np.flatnonzero((edges[1:] == edges[:-1]).all(axis=1))
    one, other = face[first], face[first + 1]
    skin = model.skin_faces[one] & model.skin_faces[other]
    return edges[first][skin], one[skin], other[skin]
