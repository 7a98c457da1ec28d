import numpy as np
import pytest

from bsa_vision.calibration.srgb import linear_to_srgb
from bsa_vision.phantom.camera_effects import (
    CameraEffects,
    random_effects,
    take_photo,
    through_jpeg,
)

_PLAIN = CameraEffects(
    gains=np.ones(3, np.float32),
    exposure=1.0,
    vignette=0.0,
    blur_px=0.35,
    motion_px=(0.0, 0.0),
    shot_noise=0.0,
    read_noise=0.0,
    saturation=1.0,
    contrast=0.0,
    sharpen=0.0,
    jpeg_quality=95,
    seed=0,
)


def test_a_perfect_camera_only_encodes_srgb():
    # Below the shoulder at 0.8; a table step is at most 1/8191 of the square root's range.
    level = np.linspace(0.0, 0.79, 64, dtype=np.float32)
    light = np.repeat(level, 8)[None, :, None] * np.ones((8, 1, 3), np.float32)
    photo = take_photo(light, _PLAIN)[4, 4::8, 0].astype(float)
    expected = np.asarray(linear_to_srgb(level), float)
    expected = expected if expected.max() > 2 else expected * 255
    np.testing.assert_allclose(photo, expected, atol=1.5)


def test_light_beyond_the_scale_stays_in_order():
    light = np.linspace(0.5, 3.5, 50, dtype=np.float32)[None, :, None] * np.ones((9, 1, 3))
    row = take_photo(light.astype(np.float32), _PLAIN)[4, :, 1].astype(int)
    assert np.all(np.diff(row) >= 0)
    assert row[-1] == 255


@pytest.mark.parametrize("seed", range(5))
def test_effects_are_reproducible_and_keep_the_shape(seed):
    light = np.random.default_rng(seed).random((40, 30, 3)).astype(np.float32)
    effects = random_effects(np.random.default_rng(seed), np.ones(3, np.float32), 0.3)
    again = random_effects(np.random.default_rng(seed), np.ones(3, np.float32), 0.3)
    photo = take_photo(light, effects)
    assert photo.shape == (40, 30, 3)
    np.testing.assert_array_equal(photo, take_photo(light, again))
    assert through_jpeg(photo, 90).shape == photo.shape
