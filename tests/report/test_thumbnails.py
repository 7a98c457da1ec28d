import cv2
import numpy as np
import pytest

from bsa_vision.core.labels import LABEL_COLOURS, Label
from bsa_vision.report.thumbnails import thumbnail


def decode(data):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("label", [Label.DETACHED, Label.REEPITHELIALISED])
def test_a_lesion_is_outlined_and_nothing_else_is_touched(label):
    pixels = np.full((600, 900, 3), (120, 90, 70), dtype=np.uint8)
    labels = np.full((300, 450), Label.UNAFFECTED, dtype=np.uint8)
    labels[100:200, 150:300] = label
    picture = decode(thumbnail(pixels, labels, side=300))
    assert picture.shape == (200, 300, 3)
    # JPEG moves flat colour by a few codes.
    for row, column in ((20, 20), (100, 150)):
        np.testing.assert_allclose(picture[row, column], (120, 90, 70), atol=4)
    # The lesion's left border is at column 100; its line is a pixel wide, so its colour is nearer
    # there than in the middle of the lesion, in every channel's sum.
    colour = np.array(LABEL_COLOURS[label], dtype=float)
    border = np.abs(picture[80:120, 98:103] - colour).sum(axis=2).min()
    inside = np.abs(np.array((120, 90, 70)) - colour).sum()
    assert border < inside / 2


def test_small_photos_are_not_a_problem():
    picture = decode(thumbnail(np.zeros((2, 3, 3), np.uint8), np.zeros((1, 1), np.uint8), 30))
    assert picture.shape == (20, 30, 3)


def test_the_same_photo_gives_the_same_bytes():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)
    labels = rng.integers(0, 7, (20, 30), dtype=np.uint8)
    assert thumbnail(pixels, labels) == thumbnail(pixels, labels)
