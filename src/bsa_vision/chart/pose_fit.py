"""Pose and camera of a body from points seen in a photo: robust least squares.

The posed place of a surface point is linear in the bone transforms (linear blend skinning), so its
derivative by a joint's rotation is the geometric one: the point's share of all bones below the joint
turns about the joint. Levenberg-Marquardt on these exact derivatives needs 10-30 steps of about a
millisecond.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.anny_model import BodyModel, RestBody, rotation_matrices
from bsa_vision.core.frames import Camera, FloatArray

#: Joints the fit may turn, with the standard deviation of their rotation at a bedside (radians; x is
#: the body's left, y its back, z up). The values describe people lying or standing for a photo.
_SPINE = (0.12, 0.08, 0.10)
_LIMBS = {
    "clavicle": (0.10, 0.15, 0.12),
    "shoulder01": (0.10, 0.12, 0.10),
    "upperarm01": (0.55, 0.60, 0.50),
    "lowerarm01": (0.50, 0.45, 0.50),
    "wrist": (0.30, 0.30, 0.30),
    "upperleg01": (0.35, 0.25, 0.25),
    "lowerleg01": (0.35, 0.10, 0.15),
    "foot": (0.35, 0.20, 0.25),
}
JOINT_SD: dict[str, tuple[float, float, float]] = {
    "spine05": _SPINE,
    "spine04": _SPINE,
    "spine03": _SPINE,
    "spine02": _SPINE,
    "spine01": _SPINE,
    "neck01": (0.15, 0.12, 0.15),
    "neck02": (0.15, 0.12, 0.15),
    "neck03": (0.15, 0.12, 0.15),
    "head": (0.25, 0.20, 0.30),
    **{f"{joint}.{side}": sd for joint, sd in _LIMBS.items() for side in "LR"},
}
_CAMERA = 7  # rotation (3), translation (3), log focal length (1)
_MAX_STEPS = 60


def _cross_matrices(v: FloatArray) -> FloatArray:
    """(..., 3) -> (..., 3, 3) with m @ x = v x x."""
    m = np.zeros((*v.shape[:-1], 3, 3))
    m[..., 0, 1], m[..., 0, 2] = -v[..., 2], v[..., 1]
    m[..., 1, 0], m[..., 1, 2] = v[..., 2], -v[..., 0]
    m[..., 2, 0], m[..., 2, 1] = -v[..., 1], v[..., 0]
    return m


def _left_jacobians(rotvecs: FloatArray) -> FloatArray:
    """d(rotation) / d(rotation vector) from the left, (N, 3, 3)."""
    angle = np.linalg.norm(rotvecs, axis=1)[:, None, None]
    safe = np.maximum(angle, 1e-6)
    cross = _cross_matrices(rotvecs)
    first = np.where(angle < 1e-4, 0.5, (1 - np.cos(safe)) / safe**2)
    second = np.where(angle < 1e-4, 1 / 6, (safe - np.sin(safe)) / safe**3)
    jacobians: FloatArray = np.eye(3) + first * cross + second * (cross @ cross)
    return jacobians


@dataclass(frozen=True)
class SurfacePoints:
    """Points fixed to the skin, prepared for skinning.

    Attributes
    ----------
    rest : (N, 3) metres.
    shares : (N, B) weight of each bone.
    moments : (N, B, 3) weighted rest positions by bone.
    """

    rest: FloatArray
    shares: FloatArray
    moments: FloatArray

    @classmethod
    def from_faces(
        cls,
        model: BodyModel,
        rest: RestBody,
        faces: NDArray[np.integer],
        barycentric: FloatArray,
    ) -> "SurfacePoints":
        """Points at `barycentric` (N, 3) in `faces` (N,)."""
        corners = model.faces[faces]
        n, n_bones = len(corners), len(model.bone_labels)
        weights = barycentric[:, :, None] * model.skin_weights[corners]
        index = np.arange(n)[:, None, None] * n_bones + model.skin_bones[corners]
        flat = index.ravel()
        shares = np.bincount(flat, weights.ravel(), n * n_bones).reshape(n, n_bones)
        vertices = rest.vertices[corners]
        moments = np.stack(
            [
                np.bincount(flat, (weights * vertices[:, :, None, axis]).ravel(), n * n_bones)
                for axis in range(3)
            ],
            axis=1,
        ).reshape(n, n_bones, 3)
        points = np.einsum("nk,nkc->nc", barycentric, vertices)
        return cls(points, shares, moments)


@dataclass(frozen=True)
class BodyPose:
    """Camera and joint rotations.

    Attributes
    ----------
    rotation, translation : body -> camera, (3, 3) and (3,) metres.
    focal : pixels.
    joints : (J, 3) rotation vectors of `JOINT_SD`'s joints.
    """

    rotation: FloatArray
    translation: FloatArray
    focal: float
    joints: FloatArray

    def camera(self, size: tuple[int, int]) -> Camera:
        """Pinhole with its axis through the middle of a photo of `size` (width, height)."""
        k = np.array(
            [
                [self.focal, 0, (size[0] - 1) / 2],
                [0, self.focal, (size[1] - 1) / 2],
                [0, 0, 1.0],
            ]
        )
        return Camera(k=k, r=self.rotation, t=self.translation, size=size)

    def rotations(self) -> dict[str, FloatArray]:
        """Joint rotations by bone label, as `BodyModel.bone_transforms` takes them."""
        return dict(zip(JOINT_SD, self.joints, strict=True))

    def moved(self, step: FloatArray) -> "BodyPose":
        """The pose after a step (7 + 3J,): camera rotation from the left, the rest added."""
        return BodyPose(
            rotation=rotation_matrices(step[None, :3])[0] @ self.rotation,
            translation=self.translation + step[3:6],
            focal=self.focal * float(np.exp(np.clip(step[6], -0.5, 0.5))),
            joints=self.joints + step[_CAMERA:].reshape(-1, 3),
        )


class PoseSolver:
    """Projection of surface points with derivatives, for one body."""

    def __init__(self, model: BodyModel, rest: RestBody, size: tuple[int, int]) -> None:
        self.model = model
        self.rest = rest
        self.centre = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2])
        self.joints = np.array([model.bone_index(label) for label in JOINT_SD])
        self.parents = np.array([model.bone_parents[j] for j in self.joints])
        below = np.zeros((len(self.joints), len(model.bone_labels)))
        for bone in range(len(model.bone_labels)):
            ancestor = bone
            while ancestor >= 0:
                below[self.joints == ancestor, bone] = 1
                ancestor = model.bone_parents[ancestor]
        self.below = below

    def project(
        self, points: SurfacePoints, pose: BodyPose
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Pixels (N, 2), depths (N,) in metres and derivatives (N, 2, 7 + 3J) of the pixels."""
        turned, moved = self.model.bone_transforms(self.rest, pose.rotations())
        parts = np.einsum("bij,nbj->nbi", turned, points.moments)
        parts += points.shares[:, :, None] * moved
        heads = np.einsum("jab,jb->ja", turned[self.joints], self.rest.bone_heads[self.joints])
        heads += moved[self.joints]
        lever = np.einsum("jb,nbc->njc", self.below, parts)
        lever -= (points.shares @ self.below.T)[:, :, None] * heads
        frames = turned[self.parents] @ _left_jacobians(pose.joints)
        by_joint = -_cross_matrices(lever) @ frames  # (N, J, 3, 3)

        body = parts.sum(axis=1)
        turned_body = body @ pose.rotation.T
        seen = turned_body + pose.translation
        depth = np.maximum(seen[:, 2], 0.05)
        flat = seen[:, :2] / depth[:, None]
        pixels = pose.focal * flat + self.centre

        n = len(seen)
        motion = np.zeros((n, 3, _CAMERA + 3 * len(self.joints)))
        motion[:, :, :3] = -_cross_matrices(turned_body)
        motion[:, :, 3:6] = np.eye(3)
        motion[:, :, _CAMERA:] = np.einsum("ab,njbc->najc", pose.rotation, by_joint).reshape(
            n, 3, -1
        )
        jacobian = motion[:, :2] - flat[:, :, None] * motion[:, 2:3]
        jacobian *= (pose.focal / depth)[:, None, None]
        jacobian[:, :, 6] = pixels - self.centre
        return pixels, depth, jacobian


@dataclass(frozen=True)
class PosePrior:
    """What is believed before looking.

    Attributes
    ----------
    log_focal : mean and standard deviation of the log focal length in pixels.
    mm_per_px : scale at the body from the calibration sheet, or None.
    """

    log_focal: tuple[float, float]
    mm_per_px: float | None = None
    mm_per_px_log_sd: float = 0.15


@dataclass(frozen=True)
class PoseFit:
    """A fitted pose.

    Attributes
    ----------
    covariance : (P, P) of the step parameters at the optimum.
    residuals : (N, 2) seen minus projected, pixels.
    weights : (N,) robust weights, 1 for a point that fits, near 0 for one that does not.
    cost : negative log posterior (up to a constant), comparable between starts.
    """

    pose: BodyPose
    covariance: FloatArray
    residuals: FloatArray
    weights: FloatArray
    cost: float


_ROBUST_DOF = 4.0  # Student t: a point 5 sigma off keeps a sixth of its weight


def _robust(squared: FloatArray) -> tuple[FloatArray, float]:
    """Weights and cost of squared normalised residuals under a bivariate Student t."""
    weights = (_ROBUST_DOF + 2) / (_ROBUST_DOF + squared)
    cost = float(((_ROBUST_DOF + 2) / 2 * np.log1p(squared / _ROBUST_DOF)).sum())
    return np.minimum(weights, 1.0), cost


def fit_pose(
    solver: PoseSolver,
    points: SurfacePoints,
    seen: FloatArray,
    sigma: FloatArray,
    start: BodyPose,
    prior: PosePrior,
    free_joints: bool = True,
    max_steps: int = _MAX_STEPS,
) -> PoseFit:
    """Fit camera and joints to points seen at pixels `seen` (N, 2) with standard errors `sigma` (N,).

    Source: Levenberg-Marquardt with iteratively reweighted residuals; Gaussian priors as rows.
    """
    sds = np.array(list(JOINT_SD.values())).ravel()
    precision = np.concatenate([np.zeros(_CAMERA), 1 / sds**2])
    precision[6] = 1 / prior.log_focal[1] ** 2
    free = np.ones(len(precision), bool)
    free[_CAMERA:] = free_joints

    def assess(pose: BodyPose) -> tuple[float, FloatArray, FloatArray, FloatArray, FloatArray]:
        pixels, depth, jacobian = solver.project(points, pose)
        residuals = seen - pixels
        weights, cost = _robust((residuals**2).sum(axis=1) / sigma**2)
        offset = np.concatenate([np.zeros(_CAMERA), pose.joints.ravel()])
        offset[6] = np.log(pose.focal) - prior.log_focal[0]
        cost += 0.5 * float((precision * offset**2).sum())
        scaled = jacobian * (np.sqrt(weights) / sigma)[:, None, None]
        flat = scaled.reshape(-1, jacobian.shape[2])
        hessian = flat.T @ flat + np.diag(precision)
        gradient = flat.T @ (residuals * (np.sqrt(weights) / sigma)[:, None]).ravel()
        gradient -= precision * offset
        if prior.mm_per_px is not None:
            cost += _scale_row(pose, depth, prior, hessian, gradient)
        return cost, residuals, weights, hessian, gradient

    pose, damping = start, 1e-2
    cost, residuals, weights, hessian, gradient = assess(pose)
    for _ in range(max_steps):
        damped = hessian + damping * np.diag(np.diag(hessian))
        step = np.zeros(len(precision))
        step[free] = np.linalg.solve(damped[np.ix_(free, free)], gradient[free])
        candidate = pose.moved(step)
        trial = assess(candidate)
        if trial[0] < cost and candidate.translation[2] > 0.1:
            gain = cost - trial[0]
            pose, (cost, residuals, weights, hessian, gradient) = candidate, trial
            damping = max(damping / 5, 1e-7)
            if gain < 1e-4 * (1 + cost):
                break
        else:
            damping *= 6
            if damping > 1e6:
                break
    covariance = np.zeros((len(precision), len(precision)))
    covariance[np.ix_(free, free)] = np.linalg.inv(hessian[np.ix_(free, free)])
    return PoseFit(pose, covariance, residuals, weights, cost)


def _scale_row(
    pose: BodyPose,
    depth: FloatArray,
    prior: PosePrior,
    hessian: FloatArray,
    gradient: FloatArray,
) -> float:
    """Add the sheet's scale as one residual on log(depth / focal); returns its cost."""
    middle = float(np.median(depth))
    wanted = np.log(float(prior.mm_per_px or 1.0) / 1000)
    error = wanted - (np.log(middle) - np.log(pose.focal))
    row = np.zeros(len(gradient))
    row[5], row[6] = 1 / middle, -1.0
    hessian += np.outer(row, row) / prior.mm_per_px_log_sd**2
    gradient += row * error / prior.mm_per_px_log_sd**2
    return float(0.5 * error**2 / prior.mm_per_px_log_sd**2)


#: Rotation body -> camera of a camera in front of a standing person, image upright.
FACING = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])


def viewing_rotation(azimuth: float) -> FloatArray:
    """Camera walked by `azimuth` (radians): 0 front, pi/2 patient's left, pi back."""
    walk = rotation_matrices(np.array([[0.0, 0.0, -azimuth]]))[0]
    turned: FloatArray = FACING @ walk
    return turned


def start_pose(
    solver: PoseSolver,
    points: SurfacePoints,
    seen: FloatArray,
    azimuth: float,
    focal: float,
) -> BodyPose:
    """A rest-pose start: azimuth given; roll, size and place by planar Procrustes."""
    rotation = viewing_rotation(azimuth)
    flat = (points.rest @ rotation.T)[:, :2]
    body = (flat - flat.mean(axis=0)) @ (1, 1j)
    image = (seen - seen.mean(axis=0)) @ (1, 1j)
    similarity = np.vdot(body, image) / max(np.vdot(body, body).real, 1e-9)
    roll = np.array([[0.0, 0.0, float(np.angle(similarity))]])
    rotation = rotation_matrices(roll)[0] @ rotation
    middle = (points.rest @ rotation.T).mean(axis=0)
    depth = float(np.clip(focal / max(abs(similarity), 1e-6), 0.2, 10.0))
    target = (seen.mean(axis=0) - solver.centre) / focal * depth
    translation = np.array([target[0], target[1], depth]) - middle
    return BodyPose(rotation, translation, focal, np.zeros((len(JOINT_SD), 3)))


#: Where the starts stand around the body; a photo is rarely more than 45 degrees from one of them.
START_AZIMUTHS = tuple(np.arange(4) * np.pi / 2)


def best_fit(
    solver: PoseSolver,
    points: SurfacePoints,
    seen: FloatArray,
    sigma: FloatArray,
    prior: PosePrior,
) -> PoseFit:
    """The best of several starts: rigid first, then all joints for the two most promising.

    Parameters
    ----------
    seen : (N, 2) pixels; `sigma` (N,) their standard errors.
    """
    focal = float(np.exp(prior.log_focal[0]))
    starts = [start_pose(solver, points, seen, a, focal) for a in START_AZIMUTHS]
    rigid = [
        fit_pose(solver, points, seen, 4 * sigma, s, prior, free_joints=False, max_steps=12)
        for s in starts
    ]
    rigid.sort(key=lambda fit: fit.cost)
    full = [
        fit_pose(solver, points, seen, 2 * sigma, fit.pose, prior, max_steps=20)
        for fit in rigid[:2]
    ]
    full.sort(key=lambda fit: fit.cost)
    return fit_pose(solver, points, seen, sigma, full[0].pose, prior)
