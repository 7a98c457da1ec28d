"""Colours of healthy skin."""

import cv2
import numpy as np
import pytest

from bsa_vision.calibration.srgb import linear_to_lab
from bsa_vision.phantom.skin import random_skin_look, srgb_to_linear

#: sRGB of a skin map of one colour.
_MAP = (205, 160, 132)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """CIELAB colours (N, 3) of skin drawn at random that uses a skin map."""
    folder = tmp_path_factory.mktemp("maps")
    cv2.imwrite(str(folder / "map.png"), np.full((256, 256, 3), _MAP[::-1], np.uint8))
    looks = [random_skin_look(np.random.default_rng(seed), folder) for seed in range(600)]
    tints = np.array([look.tint for look in looks if look.texture is not None])
    return linear_to_lab(tints * srgb_to_linear(np.array(_MAP, np.uint8)))


def test_three_of_four_skins_use_a_map(drawn):
    assert 400 < len(drawn) < 500


def test_the_lightest_skin_is_rosy_as_often_as_yellow(drawn):
    yellow = drawn[drawn[:, 0] > 80, 2]
    assert np.quantile(yellow, 0.2) < 9
    assert np.quantile(yellow, 0.9) > 15


def test_the_darkest_skin_is_dull_as_often_as_brown(drawn):
    chroma = np.linalg.norm(drawn[drawn[:, 0] < 20, 1:], axis=1)
    assert np.quantile(chroma, 0.2) < 10
    assert np.quantile(chroma, 0.9) > 18
