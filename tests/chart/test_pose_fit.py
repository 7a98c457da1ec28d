from dataclasses import replace

import numpy as np
import pytest

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.pose_fit import PosePrior, _Problem, best_fit, viewing_rotation
from bsa_vision.chart.posing import JOINT_SD, BodyPose, PoseSolver, SurfacePoints

SIZE = (1500, 2000)
FOCAL = 1800.0
PRIOR = PosePrior((float(np.log(FOCAL)), 0.03))


@pytest.fixture(scope="module")
def solver() -> PoseSolver:
    model = BodyModel.load()
    return PoseSolver(model, model.rest({"gender": 1.0, "age": 0.75}), SIZE)


def random_points(solver: PoseSolver, count: int, seed: int) -> SurfacePoints:
    rng = np.random.default_rng(seed)
    faces = rng.choice(np.flatnonzero(solver.model.skin_faces), count, replace=False)
    barycentric = rng.dirichlet([1, 1, 1], count)
    return SurfacePoints.from_faces(solver.model, solver.rest, faces, barycentric)


def random_pose(seed: int, azimuth: float = 0.3) -> BodyPose:
    rng = np.random.default_rng(seed)
    sds = np.array(list(JOINT_SD.values()))
    rotation = viewing_rotation(azimuth)
    middle = rotation @ np.array([0, 0, 0.8])
    joints = 0.5 * sds * rng.normal(size=sds.shape)
    return BodyPose(rotation, np.array([0.05, 0.1, 2.4]) - middle, FOCAL, joints)


def test_derivatives_match_finite_differences(solver):
    points, pose = random_points(solver, 12, 1), random_pose(2)
    pixels, _, jacobian = solver.project(points, pose)
    step = 1e-6
    for column in range(jacobian.shape[2]):
        change = np.zeros(jacobian.shape[2])
        change[column] = step
        moved, _, _ = solver.project(points, pose.moved(change))
        numeric = (moved - pixels) / step
        # Second-order terms are about step * |pixels''| < 1e-6 * 1e4.
        np.testing.assert_allclose(jacobian[:, :, column], numeric, atol=0.05, rtol=1e-4)


@pytest.mark.parametrize("count", [11, 12])
def test_the_scale_row_is_the_derivative_of_its_cost(solver, count):
    """Median of an odd and of an even number of depths; all steps: camera, focal length, joints."""
    points, pose = random_points(solver, count, 1), random_pose(2)
    seen, depth, _ = solver.project(points, pose)
    mm_per_px = 1.2 * 1000 * float(np.median(depth)) / FOCAL
    without = _Problem(solver, points, seen, np.full(count, 5.0), PRIOR)
    scaled = replace(without, prior=replace(PRIOR, mm_per_px=mm_per_px, mm_per_px_log_sd=0.2))

    def cost(at: BodyPose) -> float:
        return scaled.assess(at).cost - without.assess(at).cost

    error, sd = np.log(1.2), 0.2
    assert cost(pose) == pytest.approx(0.5 * (error / sd) ** 2)
    gradient = scaled.assess(pose).gradient - without.assess(pose).gradient
    hessian = scaled.assess(pose).hessian - without.assess(pose).hessian
    step = 1e-5
    numeric = np.zeros_like(gradient)
    for column in range(len(gradient)):
        change = np.zeros_like(gradient)
        change[column] = step
        numeric[column] = (cost(pose.moved(-change)) - cost(pose.moved(change))) / (2 * step)
    # `gradient` points downhill. Central differences are off by about step^2 times third
    # derivatives (below 1e3), and by the rounding of costs of about 10 over the step.
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)
    assert np.abs(gradient[:3]).max() > 1  # turning the body about its origin moves its middle
    np.testing.assert_allclose(hessian, np.outer(gradient, gradient) * (sd / error) ** 2, atol=1e-6)


def test_surface_points_follow_the_skinned_mesh(solver):
    rng = np.random.default_rng(0)
    faces = rng.choice(np.flatnonzero(solver.model.skin_faces), 50, replace=False)
    barycentric = rng.dirichlet([1, 1, 1], 50)
    points = SurfacePoints.from_faces(solver.model, solver.rest, faces, barycentric)
    pose = random_pose(3)
    vertices = solver.model.posed(solver.rest, pose.rotations())
    on_mesh = np.einsum("nk,nkc->nc", barycentric, vertices[solver.model.faces[faces]])
    pixels, _, _ = solver.project(points, pose)
    np.testing.assert_allclose(pixels, pose.camera(SIZE).project(on_mesh), atol=1e-6)


@pytest.mark.parametrize("azimuth", [0.2, 1.4, 3.0, -1.7])
def test_a_known_pose_is_found_again(solver, azimuth):
    points, pose = random_points(solver, 60, 4), random_pose(5, azimuth)
    seen, _, _ = solver.project(points, pose)
    fit = best_fit(solver, points, seen, np.full(60, 3.0), PRIOR)
    others = random_points(solver, 200, 6)
    true, depth, _ = solver.project(others, pose)
    found, _, _ = solver.project(others, fit.pose)
    error_mm = np.linalg.norm(found - true, axis=1) * depth / FOCAL * 1000
    # The prior pulls joints that few of the 60 points see: millimetres in the middle.
    assert np.median(error_mm) < 6
    assert fit.weights.min() > 0.5


def test_one_wrong_point_is_distrusted(solver):
    points, pose = random_points(solver, 40, 7), random_pose(8)
    seen, _, _ = solver.project(points, pose)
    seen[11] += (400, -300)
    fit = best_fit(solver, points, seen, np.full(40, 6.0), PRIOR)
    assert np.argmin(fit.weights) == 11
    assert fit.weights[11] < 0.05
    assert np.median(fit.weights) > 0.9


def test_covariance_predicts_the_errors_of_bodies_drawn_from_the_prior(solver):
    points, probe = random_points(solver, 40, 9), random_points(solver, 60, 11)
    sds = np.array(list(JOINT_SD.values()))
    rng = np.random.default_rng(12)
    sigma = 8.0
    erred, predicted = 0.0, 0.0
    for seed in range(12):
        pose = replace(
            random_pose(seed),
            joints=sds * rng.normal(size=sds.shape),
            focal=FOCAL * float(np.exp(PRIOR.log_focal[1] * rng.normal())),
        )
        clean, _, _ = solver.project(points, pose)
        seen = clean + rng.normal(0, sigma, clean.shape)
        fit = best_fit(solver, points, seen, np.full(40, sigma), PRIOR)
        true, _, _ = solver.project(probe, pose)
        found, _, jacobian = solver.project(probe, fit.pose)
        erred += ((found - true) ** 2).sum()
        predicted += np.einsum("ncp,pq,ncq->", jacobian, fit.covariance, jacobian)
    # Where poses are drawn from the prior itself, the posterior's variance is the mean squared
    # error. The errors of the 60 points of a fit follow some six loose joint angles, so the ratio
    # of 12 fits has a standard deviation of 1 / sqrt(2 x 12 x 6) = 0.08; three of them.
    assert 0.75 < np.sqrt(erred / predicted) < 1.25
