import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsa_vision.phantom.noise import PERIOD, SIDE, Noise, smoothstep


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (20_000, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", ["fractal", "blobs"])
def test_four_independent_channels_of_about_unit_variance(points, kind):
    # Interpolation between voxels takes away a little of the finest scale: up to a third here.
    values = Noise.from_rng(np.random.default_rng(1)).sample(points, 0.05, kind)
    assert values.shape == (len(points), 4)
    assert np.all((values.var(axis=0) > 0.6) & (values.var(axis=0) < 1.4))
    correlation = np.corrcoef(values.T) - np.eye(4)
    # A volume holds some (SIDE / PERIOD)^3 = 64 independent features: 1 / sqrt(64) is one sigma.
    assert np.abs(correlation).max() < 4 / np.sqrt((SIDE / PERIOD) ** 3)


def test_a_point_has_its_value_whatever_else_is_asked(points):
    noise = Noise.from_rng(np.random.default_rng(2))
    together = noise.sample(points, 0.1)
    alone = noise.sample(points[777:780], 0.1)
    # The same arithmetic; only the order of additions in the matrix product may differ.
    np.testing.assert_allclose(alone, together[777:780], atol=1e-3)


def test_the_volume_repeats_without_a_seam(points):
    noise = Noise(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    wavelength = 0.1
    period = np.array([SIDE / PERIOD * wavelength, 0, 0], np.float32)
    # float32 metres near 1 are known to 1e-7; a voxel is 0.004 m and changes by less than 10.
    np.testing.assert_allclose(
        noise.sample(points, wavelength), noise.sample(points + period, wavelength), atol=2e-3
    )


@given(st.floats(-5, 5), st.floats(0.01, 3), st.floats(-10, 10))
def test_smoothstep_stays_between_zero_and_one(low, width, value):
    result = smoothstep(low, low + width, np.array([value], np.float32))
    assert 0 <= result[0] <= 1


def test_smoothstep_can_descend():
    result = smoothstep(1.0, 0.0, np.array([-1.0, 0.5, 2.0], np.float32))
    np.testing.assert_allclose(result, [1.0, 0.5, 0.0], atol=1e-6)
