"""Gathering: each body cell that a photo shows samples the classes under its footprint."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.cells import Cells
from bsa_vision.chart.posing import SurfacePoints, body_rays
from bsa_vision.chart.register import Placement
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import Camera, FloatArray
from bsa_vision.core.labels import N_LABELS, SKIN_STATES, Label

#: A cell is assessed when at least this share of some photo's footprint on it is skin.
MIN_SKIN_SHARE = 0.3
#: Skin seen flatter than this (cosine of 78 degrees) is left to another photo.
MIN_COSINE = 0.2
#: Cells whose place in the photo is less sure than this are left out (mm, one standard deviation).
MAX_PLACEMENT_SD_MM = 45.0
#: A photo with fewer sure cells than this (about a palm) is not placed at all.
MIN_SURE_CELLS = 300
#: A photo that places itself is not placed where less than this share of its cells lies on the body
#: in its mask: of 120 held-out photos one has less, and 99 % have 0.59 or more.
MIN_ON_BODY = 0.5
_OCCLUSION_SLACK_M = 0.004
_ANCHORS = 700

FloatMap = NDArray[np.float32]


@dataclass(frozen=True)
class PhotoEvidence:
    """What one photo says about the cells it shows.

    Attributes
    ----------
    cells : (M,) indices of the cells seen. at : (M, 2) pixels of their middles in the full-size
        photo. mm_per_px : (M,) at their depth.
    states : (M, 5) shares of `SKIN_STATES` under the footprint; rows sum to the skin share.
    hidden : (M,) share of the footprint that is not assessable.
    weight : (M,) trust: viewing angle, resolution, sureness of place, share of the footprint in
        the frame, photo quality.
    replicates : (R, M, 5) `states` under perturbed placements, 0 where those leave the frame.
    by_model : whether a network drew the mask.
    """

    cells: NDArray[np.intp]
    at: FloatMap
    mm_per_px: FloatMap
    states: FloatMap
    hidden: FloatMap
    weight: FloatMap
    replicates: FloatMap
    by_model: bool


@dataclass(frozen=True)
class SeenCells:
    """Cells that face the camera unoccluded.

    Attributes
    ----------
    cells : (M,) indices.
    samples : (M, 4, 2) pixels of the full-size photo: centre and three inner points.
    cosine : (M,) of the angle between skin normal and view.
    mm_per_px : (M,) at the cell's depth.
    sd_mm : (M,) standard deviation of the cell's place.
    shifts : (R, M, 2) pixel displacements of perturbed placements.
    """

    cells: NDArray[np.intp]
    samples: FloatArray
    cosine: FloatArray
    mm_per_px: FloatArray
    sd_mm: FloatArray
    shifts: FloatArray


def see_cells(
    placement: Placement, cells: Cells, replicates: int, rng: np.random.Generator
) -> SeenCells:
    """Find the cells a placed photo shows, where, and how surely."""
    model = placement.solver.model
    camera = placement.camera
    chosen, cosine = visible_cells(placement.vertices, camera, cells)

    corners = placement.vertices[model.faces[cells.face[chosen]]]
    inner = 0.5 * (cells.corners[chosen] + cells.centre[chosen][:, None])
    weights = np.concatenate([cells.centre[chosen][:, None], inner], axis=1)
    at = np.einsum("nsk,nkc->nsc", weights, corners)
    pixels = camera.project(at.reshape(-1, 3)).reshape(-1, 4, 2)
    depth = camera.to_camera(at[:, 0])[:, 2]
    focal = placement.fit.pose.focal
    mm_per_px = 1000 * depth / focal

    rest = placement.solver.rest.vertices[model.faces[cells.face[chosen]]]
    places = np.einsum("nk,nkc->nc", cells.centre[chosen], rest)
    shift, warp_sd, deviations, pose_sd = _uncertainty(
        placement, cells, chosen, places, 1 / mm_per_px, replicates, rng
    )
    return SeenCells(
        cells=chosen,
        samples=pixels + shift[:, None],
        cosine=cosine,
        mm_per_px=mm_per_px,
        sd_mm=np.hypot(warp_sd, pose_sd) * mm_per_px,
        shifts=deviations,
    )


def expected_error_mm(seen: SeenCells) -> float | None:
    """Median distance to be expected between seen skin and where it was placed; None unseen.

    The median length of a vector whose two coordinates have that standard deviation.
    """
    return float(np.sqrt(2 * np.log(2)) * np.median(seen.sd_mm)) if len(seen.sd_mm) else None


def visible_cells(
    vertices: FloatArray, camera: Camera, cells: Cells
) -> tuple[NDArray[np.intp], FloatArray]:
    """Cells of a posed body (13718, 3) that a camera sees, with the cosine of the viewing angle."""
    corners = vertices[BodyModel.load().faces[cells.face]]
    centres = np.einsum("nk,nkc->nc", cells.centre, corners)
    candidates, cosine = _facing(corners, centres, camera)
    visible = _unoccluded(vertices, camera, centres[candidates])
    return candidates[visible], cosine[visible]


def _facing(
    corners: FloatArray, centres: FloatArray, camera: Camera
) -> tuple[NDArray[np.intp], FloatArray]:
    """Cells in the frame and turned to the camera, with the cosine of the viewing angle."""
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    towards = camera.centre() - centres
    scale = np.linalg.norm(normals, axis=1) * np.linalg.norm(towards, axis=1)
    cosine = (normals * towards).sum(axis=1) / np.maximum(scale, 1e-12)
    in_front = camera.to_camera(centres)[:, 2] > 0.05
    candidates = np.flatnonzero(in_front & (cosine > MIN_COSINE))
    pixels = camera.project(centres[candidates])
    framed = ((pixels >= 0) & (pixels <= np.array(camera.size) - 1)).all(axis=1)
    kept = candidates[framed]
    return kept, cosine[kept]


def _unoccluded(vertices: FloatArray, camera: Camera, centres: FloatArray) -> NDArray[np.bool_]:
    """Whether the first thing that a ray from the camera meets is the cell, (N,)."""
    origin = camera.centre()
    rays = centres - origin
    distance = np.linalg.norm(rays, axis=1)
    origins = np.broadcast_to(origin, rays.shape)
    hits, index, _ = body_rays(vertices).intersects_location(
        origins, rays / distance[:, None], multiple_hits=False
    )
    nearest = np.full(len(centres), np.inf)
    nearest[index] = np.linalg.norm(hits - origin, axis=1)
    visible: NDArray[np.bool_] = nearest > distance - _OCCLUSION_SLACK_M
    return visible


def _uncertainty(
    placement: Placement,
    cells: Cells,
    chosen: NDArray[np.intp],
    places: FloatArray,
    px_per_mm: FloatArray,
    replicates: int,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Warp shift and sd, draws of the displacement, pose sd: all in pixels at the chosen cells.

    Derivatives are taken at some hundred anchor cells and carried to the nearest others: the
    displacement is smooth over centimetres.
    """
    fit, warp, solver = placement.fit, placement.warp, placement.solver
    if len(chosen) == 0:
        empty = np.zeros((0, 2))
        return empty, np.zeros(0), np.zeros((replicates, 0, 2)), np.zeros(0)
    anchors = np.arange(0, len(chosen), max(1, len(chosen) // _ANCHORS))
    near = cKDTree(places[anchors]).query(places)[1]
    surface = SurfacePoints.from_faces(
        solver.model,
        solver.rest,
        cells.face[chosen[anchors]],
        cells.centre[chosen[anchors]].astype(np.float64),
    )
    _, _, jacobian = solver.project(surface, fit.pose)
    variances, axes = np.linalg.eigh((fit.covariance + fit.covariance.T) / 2)
    # Where nothing determines a parameter, rounding may leave a variance below zero.
    root = axes * np.sqrt(np.maximum(variances, 0))
    # Not by matrix products: the bytes of a result must not depend on the number of threads.
    spread = (np.einsum("ncp,pq->ncq", jacobian, root) ** 2).sum(axis=(1, 2))
    steps = rng.normal(size=(replicates, len(root))) @ root.T
    by_pose = np.einsum("ncp,rp->rnc", jacobian, steps)
    shift, warp_sd = warp.displacement(places[anchors], px_per_mm[anchors])
    deviations = by_pose + warp.draws(places[anchors], px_per_mm[anchors], replicates, rng)
    return shift[near], warp_sd[near], deviations[:, near], np.sqrt(spread / 2)[near]


def gather(
    seen: SeenCells,
    labels: NDArray[np.uint8],
    probabilities: NDArray[np.uint8] | None,
    full_size: tuple[int, int],
    quality: float = 1.0,
) -> PhotoEvidence | Refused:
    """Sample a mask, or class probabilities, under each seen cell.

    Parameters
    ----------
    labels : (h, w) codes at any resolution of the same photo.
    probabilities : (h, w, 7) as softmax x 255, or None to take the labels, which a person drew, as
        certain.
    full_size : (width, height) of the full-size photo that `seen` refers to.
    quality : 0..1, lowers the trust in a poor photo.
    """
    sure = seen.sd_mm < MAX_PLACEMENT_SD_MM
    if sure.sum() < MIN_SURE_CELLS:
        error = float(np.median(seen.sd_mm)) if len(seen.sd_mm) else float("inf")
        return Refused(
            "placement_uncertain",
            f"Need at least {MIN_SURE_CELLS} body cells placed within {MAX_PLACEMENT_SD_MM:.0f} "
            f"mm, got {int(sure.sum())}; {min(error, 9999):.0f} mm expected in the median.",
            "Add landmarks spread over the whole visible body part, on every limb in the photo.",
        )
    # The warp may have moved a cell out of the frame since it was found to be seen.
    inside = _in_frame(seen.samples, full_size).mean(axis=1)
    shown = sure & (inside > 0)
    samples = seen.samples[shown]
    table = _class_table(labels, probabilities)
    shares = _sample(table, samples, full_size)
    skin = [int(state) for state in SKIN_STATES]
    if not ((shares[:, skin].sum(axis=1) >= MIN_SKIN_SHARE) | covered_up(shares)).any():
        return Refused(
            "no_skin_found",
            "Need skin, or a dressing, where the body was placed; the mask has none.",
            "Mark landmarks, check that those marked are this photo's, or draw its mask by hand.",
        )
    moved = samples[None] + seen.shifts[:, shown, None]
    replicates = (
        np.stack([_sample(table, at, full_size)[:, skin] for at in moved])
        if len(moved)
        else np.zeros((0, len(samples), len(skin)), np.float32)
    )
    detail = np.minimum(1.0, 1.0 / seen.mm_per_px[shown])
    trust = seen.cosine[shown] ** 3 * np.sqrt(detail) / (1 + (seen.sd_mm[shown] / 12) ** 2)
    trust *= inside[shown]
    return PhotoEvidence(
        cells=seen.cells[shown],
        at=samples[:, 0].astype(np.float32),
        mm_per_px=seen.mm_per_px[shown].astype(np.float32),
        states=shares[:, skin],
        hidden=shares[:, int(Label.NOT_ASSESSABLE)],
        weight=(quality * trust).astype(np.float32),
        replicates=replicates.astype(np.float32),
        by_model=probabilities is not None,
    )


def share_on_body(seen: SeenCells, labels: NDArray[np.uint8], full_size: tuple[int, int]) -> float:
    """Share of the seen cells in the frame whose footprint in a mask is mostly no background."""
    shares = _sample(_class_table(labels, None), seen.samples, full_size)
    framed = shares.sum(axis=1) > 0
    if not framed.any():
        return 0.0
    return float((shares[framed, int(Label.BACKGROUND)] < 0.5).mean())


def covered_up(shares: FloatMap) -> NDArray[np.bool_]:
    """Whether a footprint with class shares (M, 7) is mostly not assessable, (M,)."""
    return shares[:, int(Label.NOT_ASSESSABLE)] > 0.5


def _class_table(
    labels: NDArray[np.uint8], probabilities: NDArray[np.uint8] | None
) -> tuple[NDArray[np.uint8], FloatMap]:
    """Per-pixel lookup: an index image and the class shares it points to (or the shares)."""
    if probabilities is None:
        return labels, np.eye(N_LABELS, dtype=np.float32)
    return probabilities, np.zeros((0, N_LABELS), np.float32)


def _sample(
    table: tuple[NDArray[np.uint8], FloatMap], samples: FloatArray, full_size: tuple[int, int]
) -> FloatMap:
    """Mean class shares (M, 7) of the sample points (M, S, 2) in the full-size photo's frame.

    0 where none of a cell's points is in the frame.
    """
    image, lookup = table
    scale = image.shape[1] / full_size[0]
    at = np.rint((samples + 0.5) * scale - 0.5).astype(np.intp)
    x = np.clip(at[..., 0], 0, image.shape[1] - 1)
    y = np.clip(at[..., 1], 0, image.shape[0] - 1)
    found = image[y, x]
    inside = _in_frame(samples, full_size)
    points: FloatMap = lookup[found] if len(lookup) else found.astype(np.float32)
    cut = not inside.all()
    if cut:
        points *= inside[..., None]
    shares: FloatMap = points.mean(axis=1)
    if cut or not len(lookup):  # rounded to 255ths, probabilities sum to about 255
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-3)
    return shares


def _in_frame(samples: FloatArray, full_size: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether points (..., 2) lie in a photo of `full_size` (width, height), (...)."""
    x, y = samples[..., 0], samples[..., 1]
    inside: NDArray[np.bool_] = (x >= -0.5) & (x < full_size[0] - 0.5) & (y >= -0.5)
    return inside & (y < full_size[1] - 0.5)
