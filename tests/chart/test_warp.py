import numpy as np

from bsa_vision.chart.warp import SHAPE_SD_MM, Warp


def places(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 0.6, (count, 3))


def ones(count: int) -> np.ndarray:
    return np.ones(count)


def test_smooth_residuals_are_followed():
    at = places(60, 0)
    smooth = np.column_stack([8 * np.sin(4 * at[:, 0]), -6 * at[:, 2]])
    warp = Warp.from_residuals(at, smooth, ones(60), ones(60), 2000)
    shift, _ = warp.displacement(at, ones(60))
    # The field varies over 0.25 m and more, twice the warp's length: the smoothest part is kept.
    assert np.abs(shift - smooth).mean() < 1.0


def test_clicking_errors_are_not_followed():
    at = places(60, 1)
    noise = np.random.default_rng(2).normal(0, 12, (60, 2))
    warp = Warp.from_residuals(at, noise, ones(60), ones(60), 2000)
    shift, _ = warp.displacement(at, ones(60))
    assert np.sqrt((shift**2).mean()) < 0.5 * np.sqrt((noise**2).mean())


def test_far_from_landmarks_nothing_is_known():
    warp = Warp.from_residuals(places(10, 3), np.ones((10, 2)), ones(10), ones(10), 2000)
    shift, sd = warp.displacement(np.full((1, 3), 5.0), ones(1))
    np.testing.assert_allclose(shift, 0, atol=1e-9)
    np.testing.assert_allclose(sd, SHAPE_SD_MM, rtol=1e-6)


def test_draws_scatter_as_predicted():
    at = places(25, 4)
    warp = Warp.from_residuals(at, 3 * np.ones((25, 2)), ones(25), ones(25), 2000)
    probe = places(40, 5)
    _, sd = warp.displacement(probe, ones(40))
    drawn = np.concatenate(
        [warp.draws(probe, ones(40), 50, np.random.default_rng(seed)) for seed in range(20)]
    )
    scatter = np.sqrt((drawn**2).mean(axis=(0, 2)))
    # 128 Fourier features stand for the kernel within about 1/sqrt(128) of its variance per draw of
    # features; over 20 sets of features the mean is within a few percent.
    np.testing.assert_allclose(scatter, sd, rtol=0.25, atol=0.3)


def test_distrusted_landmarks_move_nothing():
    at = places(12, 6)
    residuals = np.zeros((12, 2))
    residuals[5] = 300
    weights = ones(12)
    weights[5] = 0.001
    trusted = Warp.from_residuals(at, residuals, ones(12), weights, 2000)
    shift, _ = trusted.displacement(at, ones(12))
    assert np.abs(shift).max() < 30
