"""Render which chart cell each pixel of the chart's figures shows.

    .venv/bin/python scripts/make_chart_views.py

Five orthographic views of one neutral adult: front and back with the arms hanging out and the palms
forward, left and right with the arms forward so that the flank is seen, and the soles. Writes
src/bsa_vision/chart/data/chart_views.npz: the cell per sample at twice the picture's resolution,
the shading and the ink of the outlines per pixel.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import trimesh
from scipy.ndimage import distance_transform_edt
from trimesh.ray.ray_pyembree import RayMeshIntersector

from bsa_vision.chart.anny_model import BodyModel, RestBody
from bsa_vision.chart.cells import Cells, load_cells
from bsa_vision.chart.draw import BAND_SIZE, NOT_SKIN, OFF_BODY, OVERSAMPLING
from bsa_vision.chart.regions import sided_region
from region_borders import across, unit

OUT = Path(__file__).parents[1] / "src" / "bsa_vision" / "chart" / "data" / "chart_views.npz"
FIGURE = {"gender": 0.5, "age": 0.77, "height": 0.4, "weight": 0.55, "muscle": 0.6}
PX_PER_M = 402.0
FEET_ROW = 712  # of the band, where the soles stand
#: name, azimuth of the line of sight in degrees (0 looks at the front), centre column in the band.
VIEWS = (("front", 0.0, 252), ("back", 180.0, 736), ("left", 90.0, 1182), ("right", 270.0, 1426))
SOLES_AT = (494, 640)  # column, row of the middle of the two soles
DEPTH_STEP_M = 0.025
OUTLINE_PX, BORDER_PX = 1.5, 1.1


def turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest rotation vector that takes one direction to another."""
    axis = np.cross(unit(start), unit(end))
    sine, cosine = np.linalg.norm(axis), float(unit(start) @ unit(end))
    return axis / max(sine, 1e-12) * np.arctan2(sine, cosine)


def arm_pose(model: BodyModel, rest: RestBody, towards: np.ndarray) -> dict[str, np.ndarray]:
    """Both arms along `towards` (of the left arm), elbow nearly straight, palm forward."""
    head = {b: rest.bone_heads[model.bone_index(b)] for b in model.bone_labels}
    upper = head["lowerarm01.L"] - head["upperarm01.L"]
    fore = head["wrist.L"] - head["lowerarm01.L"]
    straight = unit(unit(upper) + 0.12 * unit(fore))
    hand = head["finger3-1.L"] - head["wrist.L"]
    palm = across(head["finger3-3.L"] - head["finger3-1.L"], hand)
    bend = turn(fore, straight)
    # After bending, how far the palm must turn about the forearm to face forward.
    whole = cv2.Rodrigues(turn(upper, towards))[0] @ cv2.Rodrigues(bend)[0]
    axis = whole @ unit(fore)
    now, wanted = across(whole @ palm, axis), across(np.array([0.0, -1.0, 0.0]), axis)
    angle = np.arctan2(np.cross(now, wanted) @ axis, now @ wanted)
    spin = angle * unit(fore)
    first = cv2.Rodrigues(cv2.Rodrigues(bend)[0] @ cv2.Rodrigues(0.3 * spin)[0])[0].ravel()
    left = {
        "upperarm01.L": turn(upper, towards),
        "lowerarm01.L": first,
        "lowerarm02.L": 0.4 * spin,
        "wrist.L": 0.3 * spin,
    }
    mirrored = {k.replace(".L", ".R"): v * [1, -1, -1] for k, v in left.items()}
    return left | mirrored


def cells_at(cells: Cells, n_faces: int, face: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Cell of points given by face and barycentric weights; `NOT_SKIN` in cavities."""
    count = np.bincount(cells.face, minlength=n_faces)
    first = np.searchsorted(cells.face, np.arange(n_faces))
    found = np.full(len(face), NOT_SKIN, dtype=np.uint16)
    nearest = np.full(len(face), np.inf)
    for step in range(int(count.max())):
        at = np.flatnonzero(step < count[face])
        cell = first[face[at]] + step
        corners = cells.corners[cell].astype(np.float64).transpose(0, 2, 1)
        inside = np.linalg.solve(corners, weights[at][:, :, None])[:, :, 0]
        outside_by = -inside.min(axis=1)
        better = outside_by < nearest[at]
        nearest[at[better]] = outside_by[better]
        found[at[better]] = cell[better]
    return found


def cast(
    mesh: trimesh.Trimesh, origins: np.ndarray, sight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """First hits of parallel rays: ray, face, barycentric weights, depth."""
    at, ray, face = RayMeshIntersector(mesh).intersects_location(
        origins, np.broadcast_to(sight, origins.shape), multiple_hits=False
    )
    weights = trimesh.triangles.points_to_barycentric(mesh.triangles[face], at)
    return ray, face, weights, at @ sight


class Band:
    """The strip of the chart that holds the figures, at sample resolution."""

    def __init__(self, model: BodyModel) -> None:
        width, height = (OVERSAMPLING * side for side in BAND_SIZE)
        self.index = np.full((height, width), OFF_BODY, dtype=np.uint16)
        self.shade = np.ones((height, width), dtype=np.float32)
        self.depth = np.full((height, width), 9.0, dtype=np.float32)
        self._model, self._cells = model, load_cells()

    def draw(
        self,
        vertices: np.ndarray,
        faces: np.ndarray,
        right: np.ndarray,
        up: np.ndarray,
        anchor: np.ndarray,
        pixel: tuple[float, float],
        box: tuple[int, int, int, int],
    ) -> None:
        """Cast one view into a box (left, top, right, bottom in pixels); anchor lands on pixel."""
        left, top, end, bottom = (OVERSAMPLING * side for side in box)
        metres = 1.0 / (PX_PER_M * OVERSAMPLING)
        columns = (np.arange(left, end) + 0.5 - OVERSAMPLING * pixel[0]) * metres
        rows = (np.arange(top, bottom) + 0.5 - OVERSAMPLING * pixel[1]) * metres
        sight = np.cross(up, right)
        origins = (
            anchor + columns[None, :, None] * right - rows[:, None, None] * up - 3.0 * sight
        ).reshape(-1, 3)
        mesh = trimesh.Trimesh(vertices, self._model.faces, process=False)
        smooth = mesh.vertex_normals
        mesh = trimesh.Trimesh(vertices, self._model.faces[faces], process=False)
        ray, hit, weights, depth = cast(mesh, origins, sight)
        face = faces[hit]
        normal = unit(np.einsum("nk,nkc->nc", weights, smooth[self._model.faces[face]]))
        row, column = np.divmod(ray, end - left)
        at = (row + top, column + left)
        self.index[at] = cells_at(self._cells, len(self._model.faces), face, weights)
        facing = np.clip(-normal @ sight, 0, 1)
        lit = np.clip(-normal @ sight * 0.8 + normal @ up * 0.35 - normal @ right * 0.25, 0, 1)
        self.shade[at] = 0.74 + 0.14 * facing**0.6 + 0.12 * lit
        self.depth[at] = depth


def thinned(mask: np.ndarray, width_px: float) -> np.ndarray:
    """Ink 0..1 per picture pixel of lines given as single-sample masks, drawn `width_px` wide."""
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ink = np.clip(OVERSAMPLING * width_px / 2 - distance + 0.5, 0, 1).astype(np.float32)
    height, width = mask.shape
    return cv2.resize(
        ink, (width // OVERSAMPLING, height // OVERSAMPLING), interpolation=cv2.INTER_AREA
    )


def changes(values: np.ndarray, step: float) -> np.ndarray:
    """Samples whose right or lower neighbour differs by at least `step`."""
    values = values.astype(np.float32)
    mask = np.zeros(values.shape, dtype=bool)
    mask[:, :-1] |= np.abs(np.diff(values, axis=1)) >= step
    mask[:-1] |= np.abs(np.diff(values, axis=0)) >= step
    return mask


def smooth_regions(band: Band) -> np.ndarray:
    """Sided region per sample, borders rounded over a few samples; -1 where there is no skin."""
    n = len(load_cells())
    table = np.concatenate([sided_region(load_cells()), [-1] * (65536 - n)])
    region = table[band.index]
    best, winner = np.zeros(region.shape, np.float32), np.full(region.shape, -1)
    for k in range(int(region.max()) + 1):
        share = cv2.GaussianBlur((region == k).astype(np.float32), (0, 0), 2.5 * OVERSAMPLING)
        ahead = share > best
        best[ahead], winner[ahead] = share[ahead], k
    return np.where(region >= 0, winner, -1)


def large(mask: np.ndarray) -> np.ndarray:
    """The mask without specks."""
    _, component, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    kept = stats[:, cv2.CC_STAT_AREA] >= 25 * OVERSAMPLING
    kept[0] = False
    return kept[component]


def close_gaps(band: Band) -> None:
    """Give specks that show a cavity the cell beside them: eyes are drawn, gaps of the lips not."""
    cavity = band.index == NOT_SKIN
    specks = cavity & ~large(cavity)
    nearest = distance_transform_edt(
        band.index >= NOT_SKIN, return_distances=False, return_indices=True
    )
    band.index[specks] = band.index[nearest[0], nearest[1]][specks]


def outlines(band: Band) -> np.ndarray:
    """Ink 0..1 per pixel: silhouettes and overlaps strong, region borders lighter."""
    silhouette = large(changes(band.depth, DEPTH_STEP_M))
    region = smooth_regions(band)
    border = changes(region, 0.5) & ~cv2.dilate(
        silhouette.astype(np.uint8), np.ones((5, 5), np.uint8)
    ).astype(bool)
    opening = changes(band.index == NOT_SKIN, 0.5)
    return np.maximum(
        0.85 * thinned(silhouette | opening, OUTLINE_PX), 0.55 * thinned(border, BORDER_PX)
    )


def main() -> None:
    model = BodyModel.load()
    if len(load_cells()) > NOT_SKIN:
        msg = "more cells than 16-bit samples can name"
        raise ValueError(msg)
    rest = model.rest(FIGURE)
    standing = model.posed(rest, arm_pose(model, rest, unit(np.array([0.52, 0.02, -0.85]))))
    reaching = model.posed(rest, arm_pose(model, rest, unit(np.array([0.22, -0.62, -0.75]))))
    band = Band(model)
    everything = np.arange(len(model.faces))
    up = np.array([0.0, 0.0, 1.0])
    for name, azimuth, column in VIEWS:
        body = standing if name in ("front", "back") else reaching
        angle = np.deg2rad(azimuth)
        right = np.array([np.cos(angle), np.sin(angle), 0.0])
        anchor = np.array([0.0, -0.03 if name in ("front", "back") else -0.12, body[:, 2].min()])
        half = 240 if name in ("front", "back") else 174
        box = (column - half, 0, column + half, BAND_SIZE[1])
        band.draw(body, everything, right, up, anchor, (column, FEET_ROW), box)
    # The soles, seen from below with the toes up: the patient's left foot is on the right.
    feet = model.skin_weights * np.isin(
        model.skin_bones,
        [i for i, b in enumerate(model.bone_labels) if b.startswith(("foot", "toe"))],
    )
    foot = (feet.sum(axis=1) > 0.5)[model.faces].all(axis=1)
    column, row = SOLES_AT
    soles = standing.copy()
    towards_middle = np.sign(soles[:, 0]) * 0.115
    soles[:, 0] -= towards_middle
    middle = soles[model.faces[foot]].reshape(-1, 3)
    anchor = np.array([0.0, (middle[:, 1].min() + middle[:, 1].max()) / 2, 0.0])
    band.draw(
        soles,
        np.flatnonzero(foot),
        np.array([1.0, 0.0, 0.0]),
        np.array([0.0, -1.0, 0.0]),
        anchor,
        (column, row),
        (column - 70, row - 70, column + 70, row + 72),
    )
    close_gaps(band)
    shade = cv2.resize(band.shade, BAND_SIZE, interpolation=cv2.INTER_AREA)
    np.savez_compressed(
        OUT,
        index=band.index,
        shade=np.round(shade * 255).astype(np.uint8),
        ink=np.round(outlines(band) * 255).astype(np.uint8),
    )
    sys.stdout.write(f"{OUT.name}: {OUT.stat().st_size / 1e6:.2f} MB\n")


if __name__ == "__main__":
    main()
