"""Placing a photo on the body: what is seen of it -> pose, camera, warp, and how sure that is.

Seen are landmarks that a person marked, points that a network found (`sightings`), or both. Few
landmarks outweigh the found points, and only they are met by the warp: a person's correction wins.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bsa_vision.chart.anny_model import BodyModel, RestBody
from bsa_vision.chart.landmarks import LANDMARKS, Landmark
from bsa_vision.chart.outline import Mask
from bsa_vision.chart.pose_fit import SCALE_LOG_SD, PoseFit, PosePrior, best_fit
from bsa_vision.chart.posing import BodyPose, PoseSolver, SurfacePoints
from bsa_vision.chart.sightings import Sightings, marked
from bsa_vision.chart.warp import Warp
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import Camera, FloatArray

MIN_LANDMARKS = 4
#: Typical phone camera where EXIF gives no focal length: 28 mm equivalent, within a factor 1.3.
_FOCAL_35MM = (28.0, 0.26)
_FOCAL_EXIF_SD = 0.03
_DISTRUSTED = 0.25
_MAX_DISTRUSTED_SHARE = 0.3
_MAX_HIDDEN_SHARE = 0.4


@dataclass(frozen=True)
class Placement:
    """Where on the body a photo lies.

    Attributes
    ----------
    camera : of the full-size photo as displayed.
    vertices : (13718, 3) metres, posed.
    solver, fit, warp : what `gather` needs for uncertainty.
    landmark_rms : root mean square of the residuals of the trusted landmarks, before the warp, in
        the photo (pixels) and on the skin (mm); None without landmarks.
    distrusted : landmarks that do not fit with the others and were nearly ignored.
    """

    camera: Camera
    vertices: FloatArray
    solver: PoseSolver
    fit: PoseFit
    warp: Warp
    landmark_rms: tuple[float, float] | None
    distrusted: tuple[str, ...]


def register(
    rest: RestBody,
    points: Mapping[str, tuple[float, float]],
    size: tuple[int, int],
    view: str = "",
    focal_px: float | None = None,
    mm_per_px: float | None = None,
    mm_per_px_log_sd: float = SCALE_LOG_SD,
    others: Sightings | None = None,
    mask: Mask | None = None,
) -> Placement | Refused:
    """Fit the patient's body to what is seen of it in one photo.

    Parameters
    ----------
    rest : the patient's body.
    points : landmark name -> (x, y) in pixels of the full-size photo as displayed.
    size : (width, height) of that photo.
    view : the stated view, used to notice left and right mixed up.
    focal_px : from EXIF, or None.
    mm_per_px : depth over focal length at the calibration sheet, or None. The scale in the plane of
        a tilted sheet is larger.
    mm_per_px_log_sd : how far the body's may be from it, as a standard deviation of the logarithm.
    others : points found by a network, or None; without them it takes `MIN_LANDMARKS`.
    mask : where the photo shows the body (`outline.body_mask`), or None. Used where no landmark is
        marked: landmarks are surer than any outline.
    """
    inside = {
        name: xy
        for name, xy in sorted(points.items())  # the order of listing changes no digit
        if -0.5 <= xy[0] < size[0] and -0.5 <= xy[1] < size[1]
    }
    refused = (None if others else _too_few(points, inside, view)) or _wrong_side(inside, view)
    if refused:
        return refused
    marks = [LANDMARKS[name] for name in inside]
    seen = np.array(list(inside.values()), dtype=np.float64)
    sightings = marked(marks, seen, max(size))
    if others is not None:
        sightings = sightings.with_others(others)
    model = BodyModel.load()
    solver = PoseSolver(model, rest, size)
    prior = _prior(size, focal_px, mm_per_px, mm_per_px_log_sd)
    # Beside landmarks an outline says little, and a person's correction must win.
    used = mask if others is not None and not marks else None
    fit, surface = _fit(solver, sightings, prior, mm_per_px, used)
    vertices = _posed(solver, fit.pose)
    if others is None:
        refused = _contradictory(solver, marks, seen, prior, mm_per_px, fit, vertices, view)
    elif (fit.weights[len(marks) :] < _DISTRUSTED).mean() > _MAX_DISTRUSTED_SHARE:
        refused = Refused(
            "placement_contradicts",
            f"{view or 'photo'}: what was found of the body fits no pose of it.",
            "Check the view and the patient's height and weight, or mark at least 4 landmarks.",
        )
    if refused:
        return refused
    return _placement(solver, fit, surface, vertices, tuple(inside), sightings.common_mm)


def _placement(
    solver: PoseSolver,
    fit: PoseFit,
    surface: SurfacePoints,
    vertices: FloatArray,
    names: tuple[str, ...],
    common_mm: float,
) -> Placement:
    """The record of a fit whose first points are the landmarks of these names."""
    _, depth, _ = solver.project(surface, fit.pose)
    px_per_mm = fit.pose.focal / depth / 1000
    clicked = slice(len(names))
    warp = Warp.from_residuals(
        surface.rest[clicked],
        fit.residuals[clicked],
        px_per_mm[clicked],
        fit.weights[clicked],
        max(solver.size),
        common_mm,
    )
    trusted = fit.weights[clicked] > _DISTRUSTED
    squared = (fit.residuals[clicked][trusted] ** 2).sum(axis=1)
    on_skin = squared / px_per_mm[clicked][trusted] ** 2
    rms = (float(np.sqrt(squared.mean())), float(np.sqrt(on_skin.mean()))) if len(squared) else None
    return Placement(
        camera=fit.pose.camera(solver.size),
        vertices=vertices,
        solver=solver,
        fit=fit,
        warp=warp,
        landmark_rms=rms,
        distrusted=tuple(name for name, ok in zip(names, trusted, strict=True) if not ok),
    )


def _prior(
    size: tuple[int, int], focal_px: float | None, mm_per_px: float | None, mm_per_px_log_sd: float
) -> PosePrior:
    typical = _FOCAL_35MM[0] / 43.267 * float(np.hypot(*size))
    log_focal = (float(np.log(typical)), _FOCAL_35MM[1])
    if focal_px is not None:
        log_focal = (float(np.log(focal_px)), _FOCAL_EXIF_SD)
    return PosePrior(log_focal, mm_per_px, mm_per_px_log_sd)


def _fit(
    solver: PoseSolver,
    sightings: Sightings,
    prior: PosePrior,
    mm_per_px: float | None,
    mask: Mask | None = None,
) -> tuple[PoseFit, SurfacePoints]:
    surface = SurfacePoints.from_faces(
        solver.model, solver.rest, sightings.face, sightings.barycentric
    )
    spread = float(np.linalg.norm(np.ptp(surface.rest, axis=0)))
    seen = sightings.seen
    scale = mm_per_px or 1000 * spread / max(float(np.linalg.norm(np.ptp(seen, axis=0))), 1.0)
    return best_fit(solver, surface, seen, sightings.sigma(scale), prior, mask), surface


def _posed(solver: PoseSolver, pose: BodyPose) -> FloatArray:
    return solver.model.posed(solver.rest, pose.rotations())


def _too_few(
    points: Mapping[str, tuple[float, float]],
    inside: Mapping[str, tuple[float, float]],
    view: str,
) -> Refused | None:
    if len(inside) >= MIN_LANDMARKS:
        return None
    outside = len(points) - len(inside)
    note = f" ({outside} more lie outside the photo)" if outside else ""
    return Refused(
        "landmarks_too_few",
        f"{view or 'photo'}: need at least {MIN_LANDMARKS} landmarks, got {len(inside)}{note}.",
        "Add landmarks, on every limb that is to be measured, or take the photo from further away.",
    )


def _sided(name: str) -> str | None:
    for side in ("left", "right"):
        if name.endswith(f"_{side}"):
            return side
    return None


def _wrong_side(inside: Mapping[str, tuple[float, float]], view: str) -> Refused | None:
    """An arm view whose sided landmarks are mostly the other arm's."""
    if not view.startswith("arm_"):
        return None
    stated = view.split("_")[1]
    sides = [side for side in map(_sided, inside) if side]
    other = sum(side != stated for side in sides)
    if len(sides) < MIN_LANDMARKS or other <= 0.6 * len(sides):
        return None
    return Refused(
        "landmarks_mirrored",
        f"{view}: {other} of {len(sides)} landmarks are named as the other side's.",
        "Left and right are the patient's: rename the landmarks, or correct the view.",
    )


def _hidden_share(vertices: FloatArray, pose: BodyPose, marks: list[Landmark]) -> float:
    """Share of landmarks whose skin is turned well away from the camera."""
    corners = vertices[BodyModel.load().faces[[mark.face for mark in marks]]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    centre = -pose.rotation.T @ pose.translation
    towards = centre - corners.mean(axis=1)
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    return float(((normals * towards).sum(axis=1) < -0.25).mean())


def _swapped(marks: list[Landmark]) -> list[Landmark]:
    return [LANDMARKS[mark.mirror] if mark.mirror else mark for mark in marks]


def _contradictory(
    solver: PoseSolver,
    marks: list[Landmark],
    seen: FloatArray,
    prior: PosePrior,
    mm_per_px: float | None,
    fit: PoseFit,
    vertices: FloatArray,
    view: str,
) -> Refused | None:
    """Refuse landmarks that cannot all be right; say so when swapping left and right mends them."""
    bad = fit.weights < _DISTRUSTED
    hidden = _hidden_share(vertices, fit.pose, marks)
    poor = bad.mean() > _MAX_DISTRUSTED_SHARE or (~bad).sum() < MIN_LANDMARKS
    if not poor and hidden <= _MAX_HIDDEN_SHARE:
        return None
    other, _ = _fit(solver, marked(_swapped(marks), seen, max(solver.size)), prior, mm_per_px)
    other_hidden = _hidden_share(_posed(solver, other.pose), other.pose, _swapped(marks))
    if (other.cost < fit.cost + 3 and other_hidden < hidden - 0.2) or other.cost < 0.5 * fit.cost:
        return Refused(
            "landmarks_mirrored",
            f"{view or 'photo'}: the landmarks fit a body only with left and right exchanged.",
            "Left and right are the patient's, not the viewer's: exchange them and score again.",
        )
    worst = ", ".join(marks[i].name for i in np.argsort(fit.weights)[:3])
    return Refused(
        "landmarks_contradict",
        f"{view or 'photo'}: the {len(marks)} landmarks contradict each other "
        f"({int(bad.sum())} do not fit; {hidden:.0%} would face away from the camera).",
        f"Check these first: {worst}.",
    )
