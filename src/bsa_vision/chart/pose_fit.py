"""Pose and camera of a body from points seen in a photo: robust least squares.

Levenberg-Marquardt on exact derivatives (`posing`) needs 10-30 steps of about a millisecond.
"""

from dataclasses import dataclass, replace

import numpy as np

from bsa_vision.chart.anny_model import rotation_matrices
from bsa_vision.chart.outline import Mask, Outline, find_outline
from bsa_vision.chart.posing import (
    CAMERA_PARAMETERS,
    JOINT_SD,
    NEAREST_M,
    BodyPose,
    PoseSolver,
    SurfacePoints,
)
from bsa_vision.core.frames import FloatArray

_MAX_STEPS = 60
_GIVE_UP_DAMPING = 1e6
_FACTOR_PRIOR_DOF = 8.0
#: How far the body's depth may be from the sheet's, as a standard deviation of the logarithm.
SCALE_LOG_SD = 0.15


@dataclass(frozen=True)
class PosePrior:
    """What is believed before looking.

    Attributes
    ----------
    log_focal : mean and standard deviation of the log focal length in pixels.
    mm_per_px : depth over focal length at the calibration sheet, or None.
    mm_per_px_log_sd : standard deviation of its logarithm; the sheet lies beside the patient.
    """

    log_focal: tuple[float, float]
    mm_per_px: float | None = None
    mm_per_px_log_sd: float = SCALE_LOG_SD


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


#: Rounds in which weights and the mask's swelling are found from one another.
_SWELLING_ROUNDS = 8
_ROBUST_DOF = 4.0  # Student t: a point 5 sigma off keeps a sixth of its weight


def _robust(squared: FloatArray, dimensions: int) -> tuple[FloatArray, float]:
    """Weights and cost of squared normalised residuals under a Student t of 1 or 2 dimensions."""
    dof = _ROBUST_DOF + dimensions
    weights: FloatArray = dof / (_ROBUST_DOF + squared)
    return weights, float((dof / 2 * np.log1p(squared / _ROBUST_DOF)).sum())


@dataclass(frozen=True)
class _Assessment:
    """A pose tried: its cost and the normal equations of the next step."""

    pose: BodyPose
    cost: float
    residuals: FloatArray
    weights: FloatArray
    hessian: FloatArray
    gradient: FloatArray


@dataclass(frozen=True)
class _Problem:
    """Points seen at pixels `seen` (N, 2) with standard errors `sigma` (N,), and the prior.

    With an outline the body's rim is drawn to where the photo has it, too.
    """

    solver: PoseSolver
    points: SurfacePoints
    seen: FloatArray
    sigma: FloatArray
    prior: PosePrior
    outline: Outline | None = None

    def precision(self) -> FloatArray:
        """(P,) inverse prior variances of the step parameters."""
        sds = np.array(list(JOINT_SD.values())).ravel()
        precision = np.concatenate([np.zeros(CAMERA_PARAMETERS), 1 / sds**2])
        precision[6] = 1 / self.prior.log_focal[1] ** 2
        return precision

    def assess(self, pose: BodyPose) -> _Assessment:
        """Cost and normal equations at a pose; Gaussian priors enter as rows."""
        places, motion = self.solver.place(self.points, pose)
        pixels, depth, jacobian = self.solver.pinhole(places, motion, pose.focal)
        residuals = self.seen - pixels
        weights, cost = _robust((residuals**2).sum(axis=1) / self.sigma**2, 2)
        weights = np.minimum(weights, 1.0)
        if depth.min() <= NEAREST_M:  # a point at or behind the lens cannot have been seen
            cost = float("inf")
        precision = self.precision()
        offset = np.concatenate([np.zeros(CAMERA_PARAMETERS), pose.joints.ravel()])
        offset[6] = np.log(pose.focal) - self.prior.log_focal[0]
        cost += 0.5 * float((precision * offset**2).sum())
        root = np.sqrt(weights) / self.sigma
        rows = (jacobian * root[:, None, None]).reshape(-1, jacobian.shape[2])
        hessian = rows.T @ rows + np.diag(precision)
        gradient = rows.T @ (residuals * root[:, None]).ravel() - precision * offset
        if self.prior.mm_per_px is not None:
            row, error = _scale_row(depth, motion[:, 2], pose.focal, self.prior.mm_per_px)
            precision_of_scale = 1 / self.prior.mm_per_px_log_sd**2
            cost += 0.5 * precision_of_scale * error**2
            hessian += precision_of_scale * np.outer(row, row)
            gradient += precision_of_scale * error * row
        if self.outline is not None:
            rim = self._across_the_rim(pose, self.outline)
            cost += rim.cost
            hessian += rim.hessian
            gradient += rim.gradient
        return _Assessment(pose, cost, residuals, weights, hessian, gradient)

    def _across_the_rim(self, pose: BodyPose, outline: Outline) -> "_RimTerms":
        """What the outline adds: the mask's swelling, one unknown more, is at its best value."""
        pixels, _, jacobian = self.solver.project(outline.points, pose)
        errors = ((outline.seen - pixels) * outline.normal).sum(axis=1) / outline.sigma
        swelling = outline.swelling / outline.sigma
        amount = 0.0
        for _ in range(_SWELLING_ROUNDS):
            weights, _ = _robust((errors - amount * swelling) ** 2, 1)
            amount = float((weights * swelling) @ errors)
            amount /= 1 + float((weights * swelling) @ swelling)
        left = errors - amount * swelling
        weights, cost = _robust(left**2, 1)
        root = np.sqrt(weights)
        rows = np.einsum("nc,ncp->np", outline.normal, jacobian)
        rows *= (root / outline.sigma)[:, None]
        by_swelling = (root * swelling) @ rows
        share = 1 / (1 + float((weights * swelling) @ swelling))
        return _RimTerms(
            cost + 0.5 * amount**2,
            rows.T @ rows - share * np.outer(by_swelling, by_swelling),
            rows.T @ (root * left),
        )


@dataclass(frozen=True)
class _RimTerms:
    """Cost, and the normal equations (P, P) and (P,), of the distances across the rim."""

    cost: float
    hessian: FloatArray
    gradient: FloatArray


def fit_pose(
    problem: _Problem, start: BodyPose, *, free_joints: bool = True, max_steps: int = _MAX_STEPS
) -> PoseFit:
    """Fit camera and joints from a start.

    Source: Levenberg-Marquardt with iteratively reweighted residuals.
    """
    now = problem.assess(start)
    free = np.ones(len(now.gradient), bool)
    free[CAMERA_PARAMETERS:] = free_joints
    square = np.ix_(free, free)
    damping = 1e-2
    for _ in range(max_steps):
        damped = now.hessian + damping * np.diag(np.diag(now.hessian))
        step = np.zeros(len(free))
        step[free] = np.linalg.solve(damped[square], now.gradient[free])
        trial = problem.assess(now.pose.moved(step))
        if trial.cost < now.cost:
            gain, now = now.cost - trial.cost, trial
            damping = max(damping / 5, 1e-7)
            if gain < 1e-4 * (1 + abs(now.cost)):
                break
        else:
            damping *= 6
            if damping > _GIVE_UP_DAMPING:
                break
    covariance = np.zeros_like(now.hessian)
    covariance[square] = np.linalg.inv(now.hessian[square])
    return PoseFit(now.pose, covariance, now.residuals, now.weights, now.cost)


def _scale_row(
    depth: FloatArray, depth_motion: FloatArray, focal: float, mm_per_px: float
) -> tuple[FloatArray, float]:
    """The sheet's scale as one residual on log(median depth / focal).

    Parameters
    ----------
    depth : (N,) metres; `depth_motion` (N, P) its derivatives by the step parameters.

    Returns
    -------
    The derivatives (P,) of the logarithm, and what it is short of the sheet's.
    """
    order = np.argsort(depth, kind="stable")
    middle = order[[(len(order) - 1) // 2, len(order) // 2]]  # twice the same of an odd number
    median = float(depth[middle].mean())
    row: FloatArray = depth_motion[middle].mean(axis=0) / median
    row[6] = -1.0
    return row, float(np.log(mm_per_px / 1000) - np.log(median / focal))


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
    mask: Mask | None = None,
) -> PoseFit:
    """The best of several starts: rigid first, then all joints for the two most promising.

    Parameters
    ----------
    seen : (N, 2) pixels; `sigma` (N,) their standard errors.
    mask : where the photo shows the body (`outline.body_mask`); the body's rim then meets its rim.
    """
    focal = float(np.exp(prior.log_focal[0]))
    starts = [start_pose(solver, points, seen, azimuth, focal) for azimuth in START_AZIMUTHS]
    loose = _Problem(solver, points, seen, 4 * sigma, prior)
    rigid = [fit_pose(loose, start, free_joints=False, max_steps=12) for start in starts]
    rigid.sort(key=lambda fit: fit.cost)
    closer = _Problem(solver, points, seen, 2 * sigma, prior)
    full = [fit_pose(closer, fit.pose, max_steps=20) for fit in rigid[:2]]
    full.sort(key=lambda fit: fit.cost)
    problem = _Problem(solver, points, seen, sigma, prior)
    fit = _with_observed_errors(problem, fit_pose(problem, full[0].pose))
    return fit if mask is None else _drawn_to_outline(problem, fit, mask)


def _with_observed_errors(problem: _Problem, fit: PoseFit, max_steps: int = _MAX_STEPS) -> PoseFit:
    """The fit with standard errors as large as its residuals say."""
    observed = problem.sigma * np.sqrt(_variance_factor(problem, fit))
    return fit_pose(replace(problem, sigma=observed), fit.pose, max_steps=max_steps)


#: Rounds in which a fitted body is drawn to its outline: how far across the rim the mask's is
#: looked for, and the standard error of the distance, both on the skin in millimetres.
OUTLINE_ROUNDS = ((60.0, 30.0), (40.0, 20.0), (25.0, 14.0), (25.0, 14.0))
_OUTLINE_STEPS = 15


def _drawn_to_outline(problem: _Problem, fit: PoseFit, mask: Mask) -> PoseFit:
    """A fit of the same points that also meets the body's rim in a mask.

    Which point of the mask's rim belongs to which of the body's is decided anew in each round
    (iterative closest point). A mask without a rim near the body's changes nothing.
    """
    drawn = problem
    for reach_mm, error_mm in OUTLINE_ROUNDS:
        outline = find_outline(problem.solver, fit.pose, mask, reach_mm, error_mm)
        if outline is None:
            return fit
        drawn = replace(problem, outline=outline)
        fit = fit_pose(drawn, fit.pose, max_steps=_OUTLINE_STEPS)
    return _with_observed_errors(drawn, fit, max_steps=_OUTLINE_STEPS)


def _variance_factor(problem: _Problem, fit: PoseFit) -> float:
    """How far the residuals are from the standard errors assumed, as a ratio of variances.

    The posterior mean under an inverse-gamma prior round 1 worth `_FACTOR_PRIOR_DOF` residuals.
    Parameters are counted by how much the points, not the prior, determine them.
    """
    squared = (fit.residuals**2).sum(axis=1) / problem.sigma**2
    determined = len(fit.covariance) - float((np.diag(fit.covariance) * problem.precision()).sum())
    freedom = max(2 * float(fit.weights.sum()) - determined, 0.0)
    misfit = float((fit.weights * squared).sum())
    return (_FACTOR_PRIOR_DOF + misfit) / (_FACTOR_PRIOR_DOF + freedom)
